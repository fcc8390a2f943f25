// sdk/abi/engine.h over Engine: options, the engine and its requests. The C++ below never lets an
// exception out.
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/capi/handles.h"
#include "core/engine/engine.h"
#include "sdk/abi/engine.h"

using keel::AnyNull;
using keel::Guard;

extern "C" {

uint32_t keel_engine_abi_version(void) {
  return KEEL_ENGINE_ABI_MAJOR << 16 | KEEL_ENGINE_ABI_MINOR;
}
const char* keel_version(void) { return "0.1.0"; }
const char* keel_error_message(void) { return keel::LastError().message(); }
const char* keel_error_detail(const char* name) {
  return AnyNull({{"name", name}}) ? "" : keel::LastError().detail(name);
}

keel_status keel_options_new(keel_options** out) {
  return Guard({{"out", out}}, [&] {
    *out = new keel_options;
    return absl::OkStatus();
  });
}

void keel_options_free(keel_options* options) { delete options; }

keel_status keel_options_set(keel_options* options, const char* name, const char* value) {
  return Guard({{"options", options}, {"name", name}, {"value", value}},
               [&] { return keel::SetEngineFlag(options->options, name, value); });
}

keel_status keel_options_set_progress(keel_options* options, keel_progress_fn fn, void* user) {
  return Guard({{"options", options}}, [&] {
    options->options.model.on_progress = nullptr;
    if (fn == nullptr) return absl::OkStatus();
    options->options.model.on_progress = [fn, user](absl::string_view stage, int64_t done,
                                                    int64_t total) {
      fn(user, std::string(stage).c_str(), done, total);
    };
    return absl::OkStatus();
  });
}

keel_status keel_option_describe(size_t index, const char** name, const char** group,
                                 const char** value_name, const char** default_value,
                                 const char** help) {
  return Guard(
      {{"name", name},
       {"group", group},
       {"value_name", value_name},
       {"default_value", default_value},
       {"help", help}},
      [&] {
        const absl::Span<const keel::EngineFlag> flags = keel::EngineFlags();
        if (index >= flags.size())
          return absl::OutOfRangeError(absl::StrCat("there are ", flags.size(), " options"));
        *name = flags[index].name;
        *group = flags[index].group;
        *value_name = flags[index].value_name;
        *default_value = flags[index].default_value;
        *help = flags[index].help;
        return absl::OkStatus();
      });
}

keel_status keel_engine_new(const keel_options* options, keel_engine** out) {
  return Guard({{"options", options}, {"out", out}}, [&]() -> absl::Status {
    absl::StatusOr<std::unique_ptr<keel::Engine>> engine = keel::Engine::Create(options->options);
    if (!engine.ok()) return engine.status();
    auto made = std::make_unique<keel_engine>();
    made->owned = *std::move(engine);
    made->engine = made->owned.get();
    made->info = made->engine->info_json();
    *out = made.release();
    return absl::OkStatus();
  });
}

void keel_engine_free(keel_engine* engine) { delete engine; }

keel_status keel_engine_check(const keel_engine* engine) {
  return Guard({{"engine", engine}}, [&] { return engine->engine->Check(); });
}

const char* keel_engine_info(const keel_engine* engine) {
  return AnyNull({{"engine", engine}}) ? nullptr : engine->info.c_str();
}

keel_status keel_engine_metrics(const keel_engine* engine, keel_bytes_fn sink, void* user) {
  return Guard({{"engine", engine}, {"sink", sink}}, [&] {
    const std::string text = engine->engine->metrics().Text();
    sink(user, text.data(), text.size());
    return absl::OkStatus();
  });
}

keel_status keel_engine_tokenize(const keel_engine* engine, const char* text, size_t n,
                                 int32_t add_special_tokens, keel_bytes_fn sink, void* user) {
  return Guard({{"engine", engine}, {"text", text, n}, {"sink", sink}}, [&]() -> absl::Status {
    const auto ids = engine->engine->model().text.tokenizer->Encode(
        absl::string_view(text, n), {.add_special_tokens = add_special_tokens != 0});
    if (!ids.ok()) return ids.status();
    sink(user, reinterpret_cast<const char*>(ids->data()), ids->size() * sizeof(int32_t));
    return absl::OkStatus();
  });
}

keel_status keel_engine_detokenize(const keel_engine* engine, const int32_t* ids, size_t n,
                                   int32_t skip_special_tokens, keel_bytes_fn sink, void* user) {
  return Guard({{"engine", engine}, {"ids", ids, n}, {"sink", sink}}, [&]() -> absl::Status {
    const auto text = engine->engine->model().text.tokenizer->Decode(absl::MakeConstSpan(ids, n),
                                                                     skip_special_tokens != 0);
    if (!text.ok()) return text.status();
    sink(user, text->data(), text->size());
    return absl::OkStatus();
  });
}

keel_status keel_engine_token_bytes(const keel_engine* engine, int32_t token, keel_bytes_fn sink,
                                    void* user, int32_t* special) {
  return Guard({{"engine", engine}, {"sink", sink}}, [&]() -> absl::Status {
    const keel::Tokenizer& tokenizer = *engine->engine->model().text.tokenizer;
    const std::optional<std::string> bytes = tokenizer.TokenBytes(token);
    if (!bytes.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("token ", token, " is not in the vocabulary"));
    }
    if (special != nullptr) *special = tokenizer.IsSpecial(token) ? 1 : 0;
    sink(user, bytes->data(), bytes->size());
    return absl::OkStatus();
  });
}

keel_status keel_engine_submit(keel_engine* engine, const keel_request* request, keel_output_fn fn,
                               void* user, uint64_t* id) {
  return Guard({{"engine", engine}, {"request", request}, {"id", id}}, [&]() -> absl::Status {
    std::shared_ptr<keel::OutputQueue> queue;
    const std::shared_ptr<keel::OutputQueue> drained = engine->DrainedIfAny();
    keel::OutputCallback callback;
    if (fn != nullptr) {
      callback = [fn, user](keel::Output output) {
        const keel_output view{std::move(output), user};
        fn(user, &view);
      };
    } else if (drained != nullptr) {
      callback = [drained, user](keel::Output output) { drained->Push(std::move(output), user); };
    } else {
      queue = std::make_shared<keel::OutputQueue>(*engine->engine);
      callback = [queue, user](keel::Output output) { queue->Push(std::move(output), user); };
    }
    keel::Request copy = request->request.Finish();
    if (fn == nullptr) copy.max_unread_tokens = keel::OutputQueue::kMaxUnreadTokens;
    const absl::StatusOr<uint64_t> submitted = engine->engine->Submit(copy, std::move(callback));
    if (!submitted.ok()) return submitted.status();
    *id = *submitted;
    if (queue != nullptr) engine->polled.Add(*submitted, std::move(queue));
    return absl::OkStatus();
  });
}

keel_status keel_engine_cancel(keel_engine* engine, uint64_t id) {
  return Guard({{"engine", engine}}, [&] { return engine->engine->Cancel(id); });
}

keel_status keel_engine_pause(keel_engine* engine, uint64_t id) {
  return Guard({{"engine", engine}}, [&] { return engine->engine->Pause(id); });
}

keel_status keel_engine_resume(keel_engine* engine, uint64_t id) {
  return Guard({{"engine", engine}}, [&] { return engine->engine->Resume(id); });
}

keel_status keel_engine_read(keel_engine* engine, uint64_t id, int64_t tokens) {
  return Guard({{"engine", engine}}, [&]() -> absl::Status {
    if (tokens < 0) return absl::InvalidArgumentError("tokens is negative, expected 0 or more");
    return engine->engine->Read(id, tokens);
  });
}

keel_status keel_engine_prompt_tokens(const keel_engine* engine, const keel_request* request,
                                      keel_bytes_fn sink, void* user) {
  return Guard({{"engine", engine}, {"request", request}, {"sink", sink}}, [&]() -> absl::Status {
    const auto ids = engine->engine->PromptTokens(request->request.Finish());
    if (!ids.ok()) return ids.status();
    sink(user, reinterpret_cast<const char*>(ids->data()), ids->size() * sizeof(int32_t));
    return absl::OkStatus();
  });
}

keel_status keel_engine_reset_prefix_cache(keel_engine* engine) {
  return Guard({{"engine", engine}}, [&] { return engine->engine->ResetPrefixCache(); });
}

keel_status keel_engine_poll(keel_engine* engine, uint64_t id, int64_t timeout_ms,
                             const keel_output** out) {
  return Guard({{"engine", engine}, {"out", out}},
               [&] { return engine->polled.Poll(id, timeout_ms, out); });
}

}  // extern "C"

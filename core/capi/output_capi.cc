// sdk/abi/engine.h: what an output holds.
#include <vector>

#include "core/capi/handles.h"
#include "sdk/abi/engine.h"

using keel::AnyNull;
using keel::Guard;
using keel::Output;

namespace {

// What `read` gives of the output; `none` if that is NULL.
template <typename T, typename Read>
T Get(const keel_output* output, T none, Read read) {
  return AnyNull({{"output", output}}) ? none : read(output->output);
}

// An array and its length.
template <typename T, typename Array>
const T* GetArray(const keel_output* output, size_t* n, Array array) {
  if (AnyNull({{"output", output}, {"n", n}})) return nullptr;
  const auto* values = array(output->output);
  *n = values == nullptr ? 0 : values->size();
  return values == nullptr ? nullptr : values->data();
}

// Of the log-probabilities in `list`, that at `i`.
keel_status GetLogprob(const keel_output* output, std::vector<keel::SampledToken> Output::*list,
                       size_t i, float* logprob, const int32_t** top_tokens,
                       const float** top_logprobs, size_t* n_top) {
  return Guard({{"output", output},
                {"logprob", logprob},
                {"top_tokens", top_tokens},
                {"top_logprobs", top_logprobs},
                {"n_top", n_top}},
               [&] {
                 const std::vector<keel::SampledToken>& tokens = output->output.*list;
                 if (i >= tokens.size())
                   return absl::NotFoundError("this output has no log-probability of that token");
                 *logprob = tokens[i].logprob;
                 *top_tokens = tokens[i].top_tokens.data();
                 *top_logprobs = tokens[i].top_logprobs.data();
                 *n_top = tokens[i].top_tokens.size();
                 return absl::OkStatus();
               });
}

const char* NameOf(keel::FinishReason reason) {
  switch (reason) {
    case keel::FinishReason::kNone:
      return nullptr;
    case keel::FinishReason::kStop:
      return "stop";
    case keel::FinishReason::kLength:
      return "length";
    case keel::FinishReason::kAbort:
      return "abort";
    case keel::FinishReason::kError:
      return "error";
  }
  return nullptr;
}

}  // namespace

extern "C" {

uint64_t keel_output_request(const keel_output* output) {
  return Get<uint64_t>(output, 0, [](const Output& o) { return o.request; });
}

uint32_t keel_output_index(const keel_output* output) {
  return Get<uint32_t>(output, 0, [](const Output& o) { return o.index; });
}

const char* keel_output_text(const keel_output* output, size_t* n) {
  return GetArray<char>(output, n, [](const Output& o) { return &o.text; });
}

const int32_t* keel_output_tokens(const keel_output* output, size_t* n) {
  return GetArray<int32_t>(output, n, [](const Output& o) { return &o.tokens; });
}

keel_status keel_output_logprob(const keel_output* output, size_t i, float* logprob,
                                const int32_t** top_tokens, const float** top_logprobs,
                                size_t* n_top) {
  return GetLogprob(output, &Output::logprobs, i, logprob, top_tokens, top_logprobs, n_top);
}

keel_status keel_output_prompt_logprob(const keel_output* output, size_t i, float* logprob,
                                       const int32_t** top_tokens, const float** top_logprobs,
                                       size_t* n_top) {
  // Token 0 follows nothing; entry i - 1 is of token i.
  return GetLogprob(output, &Output::prompt_logprobs, i - 1, logprob, top_tokens, top_logprobs,
                    n_top);
}

double keel_output_cumulative_logprob(const keel_output* output) {
  return Get<double>(output, 0, [](const Output& o) { return o.cumulative_logprob; });
}

const char* keel_output_finish_reason(const keel_output* output) {
  return Get<const char*>(output, nullptr, [](const Output& o) { return NameOf(o.finish_reason); });
}

const char* keel_output_stop_reason(const keel_output* output) {
  return Get<const char*>(output, "", [](const Output& o) { return o.stop_reason.c_str(); });
}

int32_t keel_output_stop_token(const keel_output* output) {
  return Get<int32_t>(output, 0, [](const Output& o) { return o.stop_token.value_or(-1); });
}

keel_status keel_output_status(const keel_output* output, const char** message) {
  if (AnyNull({{"output", output}}))
    return static_cast<keel_status>(absl::StatusCode::kInvalidArgument);
  if (message != nullptr) *message = output->error.message();
  return static_cast<keel_status>(output->output.status.code());
}

const char* keel_output_error_detail(const keel_output* output, const char* name) {
  return AnyNull({{"output", output}, {"name", name}}) ? "" : output->error.detail(name);
}

const int32_t* keel_output_prompt_tokens(const keel_output* output, size_t* n) {
  return GetArray<int32_t>(output, n, [](const Output& o) { return o.prompt_tokens.get(); });
}

const float* keel_output_vector(const keel_output* output, size_t* n) {
  return GetArray<float>(output, n, [](const Output& o) { return &o.vector; });
}

keel_status keel_output_part(const keel_output* output, size_t i, int32_t* kind, const char** text,
                             size_t* n) {
  return Guard({{"output", output}, {"kind", kind}, {"text", text}, {"n", n}},
               [&]() -> absl::Status {
                 const std::vector<keel::OutputPart>& parts = output->output.parts;
                 if (i >= parts.size())
                   return absl::OutOfRangeError(absl::StrCat("there are ", parts.size(), " parts"));
                 *kind = static_cast<int32_t>(parts[i].kind);
                 *text = parts[i].text.data();
                 *n = parts[i].text.size();
                 return absl::OkStatus();
               });
}

size_t keel_output_cached_tokens(const keel_output* output) {
  return Get<size_t>(output, 0,
                     [](const Output& o) { return static_cast<size_t>(o.cached_tokens); });
}

size_t keel_output_reasoning_tokens(const keel_output* output) {
  return Get<size_t>(output, 0,
                     [](const Output& o) { return static_cast<size_t>(o.reasoning_tokens); });
}

int32_t keel_output_is_last(const keel_output* output) {
  return Get<int32_t>(output, 0, [](const Output& o) { return o.is_last ? 1 : 0; });
}

void* keel_output_user(const keel_output* output) {
  return AnyNull({{"output", output}}) ? nullptr : output->user;
}

}  // extern "C"

// Keel's engine for C++ programs: RAII over the C ABI of libkeel.so (sdk/abi/engine.h), nothing
// else. A whole program (tests/engine runs it):
//
//   #include <iostream>
//
//   #include "sdk/keel/engine.h"
//
//   int Fail(const keel::Status& status) {
//     std::cerr << status.message() << "\n";
//     return 1;
//   }
//
//   int main(int argc, char** argv) {
//     keel::Options options;
//     keel::Status set = options.Set("model", argc > 1 ? argv[1] : "path/to/model");
//     if (!set.ok()) return Fail(set);
//     keel::Result<keel::Engine> engine = keel::Engine::Create(options);
//     if (!engine.ok()) return Fail(engine.status());
//
//     keel::Request request;
//     if (set = request.SetPrompt("Once upon a time"); !set.ok()) return Fail(set);
//     if (set = request.SetInt("max_tokens", 32); !set.ok()) return Fail(set);
//     const keel::Result<uint64_t> id = engine->Submit(request);
//     if (!id.ok()) return Fail(id.status());
//     while (true) {
//       const keel::Result<keel::Output> output = engine->Poll(*id);
//       if (!output.ok()) return Fail(output.status());
//       std::cout << output->text() << std::flush;
//       if (output->is_last()) return output->status().ok() ? 0 : Fail(output->status());
//     }
//   }
//
// Several models in one process: sdk/keel/models.h.
//
// Errors     every call that can fail returns Status or Result; nothing throws (but
// std::bad_alloc). Threads    an Engine may be used from any thread; an Options or a Request from
// one at a time. What
//            may be called in a callback: the tags of sdk/abi/engine.h, function by function.
// Lifetime   an Output is a view: it lives until the callback returns, or until the next Poll of
// its
//            request. OwnedOutput is a copy that stays.
// All options, parameters and their meaning are listed in sdk/abi/engine.h.
#ifndef KEEL_SDK_KEEL_ENGINE_H_
#define KEEL_SDK_KEEL_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/abi/engine.h"

namespace keel {
inline namespace embed {  // keeps these names apart from the library's own in one process

// The numbers of absl::StatusCode, as the ABI uses them.
enum class Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

// Success, or a code and a message for people.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // What the error is about, "" where that is not known: the parameter of the request, the option,
  // the file. Programs read these, never the message.
  const std::string& field() const { return field_; }
  const std::string& flag() const { return flag_; }
  const std::string& file() const { return file_; }

  // What a call of the ABI returned, with this thread's message.
  static Status FromAbi(keel_status status) {
    return Make(status, keel_error_message, keel_error_detail);
  }
  // How the request of an output ended.
  static Status Of(const keel_output* output) {
    const char* message = nullptr;
    const keel_status status = keel_output_status(output, &message);
    return Make(
        status, [message] { return message; },
        [output](const char* name) { return keel_output_error_detail(output, name); });
  }

 private:
  template <typename Message, typename Detail>
  static Status Make(keel_status code, Message message, Detail detail) {
    if (code == 0) return Status();
    Status status(static_cast<Code>(code), message());
    status.field_ = detail("field");
    status.flag_ = detail("flag");
    status.file_ = detail("file");
    return status;
  }

  Code code_ = Code::kOk;
  std::string message_, field_, flag_, file_;
};

// A value, or why there is none. The value may be read only after ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: return a T
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: return a Status

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

// One line of the table of options. Strings are static.
struct OptionInfo {
  std::string_view name;        // without dashes: "max-num-seqs"
  std::string_view group;       // "Scheduling"
  std::string_view value_name;  // "N"; empty for a switch, whose values are "true" and "false"
  std::string_view default_value;
  std::string_view help;
};

// What an engine is made with: the same options as the server's flags. Movable. Engine::Create and
// Models::Add copy it, but a function given to SetProgress must outlive the use of them.
class Options {
 public:
  Options() {
    keel_options* options = nullptr;
    if (keel_options_new(&options) == 0) options_.reset(options);
  }

  // Sets an option from its text. A repeatable option appends.
  Status Set(const std::string& name, const std::string& value) {
    return Status::FromAbi(keel_options_set(options_.get(), name.c_str(), value.c_str()));
  }

  // Tells `on_progress` how Engine::Create gets on: what is being loaded, how much is done, of how
  // much (0: not known). Called on any thread, until Create returns.
  using OnProgress = std::function<void(std::string_view stage, int64_t done, int64_t total)>;
  Status SetProgress(OnProgress on_progress) {
    on_progress_ = std::make_unique<OnProgress>(std::move(on_progress));
    return Status::FromAbi(keel_options_set_progress(options_.get(), CallBack, on_progress_.get()));
  }

  // Every option there is, in the order of help.
  static std::vector<OptionInfo> Describe() {
    std::vector<OptionInfo> all;
    const char *name, *group, *value_name, *default_value, *help;
    while (keel_option_describe(all.size(), &name, &group, &value_name, &default_value, &help) ==
           0) {
      all.push_back({name, group, value_name, default_value, help});
    }
    return all;
  }

  const keel_options* handle() const { return options_.get(); }

 private:
  struct Free {
    void operator()(keel_options* options) const { keel_options_free(options); }
  };
  static void CallBack(void* user, const char* stage, int64_t done, int64_t total) noexcept {
    (*static_cast<OnProgress*>(user))(stage, done, total);
  }

  std::unique_ptr<OnProgress> on_progress_;
  std::unique_ptr<keel_options, Free> options_;
};

// A prompt and how to continue it. May be submitted many times: the engine copies it. Movable. What
// depends on the model (token ids, lengths, grammars) is checked by Submit; Status::field() says
// which parameter was refused.
class Request {
 public:
  Request() {
    keel_request* request = nullptr;
    if (keel_request_new(&request) == 0) request_.reset(request);
  }

  // The prompt: one of the three.
  Status SetPrompt(std::string_view text) {
    return Status::FromAbi(keel_request_set_prompt_text(request_.get(), text.data(), text.size()));
  }
  Status SetPromptTokens(std::span<const int32_t> ids) {
    return Status::FromAbi(keel_request_set_prompt_tokens(request_.get(), ids.data(), ids.size()));
  }
  // JSON in the form that chat templates take: [{"role": "user", "content": "hi"}].
  Status SetMessages(std::string_view json) {
    return Status::FromAbi(keel_request_set_messages(request_.get(), json.data(), json.size()));
  }

  // Parameters by name; a name or value the engine does not take is refused here.
  Status SetInt(const char* name, int64_t value) {
    return Status::FromAbi(keel_request_set_int(request_.get(), name, value));
  }
  Status SetFloat(const char* name, double value) {
    return Status::FromAbi(keel_request_set_float(request_.get(), name, value));
  }
  Status SetString(const char* name, std::string_view value) {
    return Status::FromAbi(
        keel_request_set_string(request_.get(), name, value.data(), value.size()));
  }
  Status AddString(const char* name, std::string_view value) {
    return Status::FromAbi(
        keel_request_add_string(request_.get(), name, value.data(), value.size()));
  }
  Status AddInt(const char* name, int64_t value) {
    return Status::FromAbi(keel_request_add_int(request_.get(), name, value));
  }
  Status AddLogitBias(int32_t token, double bias) {
    return Status::FromAbi(keel_request_add_logit_bias(request_.get(), token, bias));
  }
  // RGB8 [height, width, 3]: the n-th image is what the n-th placeholder stands for. Copied.
  Status AddImage(std::span<const uint8_t> rgb, int64_t height, int64_t width) {
    if (height < 1 || width < 1 || static_cast<int64_t>(rgb.size()) / 3 / height != width ||
        static_cast<int64_t>(rgb.size()) != height * width * 3)
      return Status(Code::kInvalidArgument, "an image of " + std::to_string(height) + "x" +
                                                std::to_string(width) + " pixels has " +
                                                std::to_string(rgb.size()) + " bytes");
    return Status::FromAbi(keel_request_add_image(request_.get(), rgb.data(), height, width));
  }
  // A sound: samples of one channel, `rate` a second.
  Status AddAudio(std::span<const float> samples, int64_t rate) {
    return Status::FromAbi(
        keel_request_add_audio(request_.get(), samples.data(), samples.size(), rate));
  }
  // An image, a video or a sound ("image", "video", "audio") as its file's bytes, or the URL of one: the
  // n-th of a modality is what the n-th placeholder of it stands for. `place` is what errors call it.
  // Submit reads and decodes it, and may wait for that.
  Status AddMedia(const char* modality, std::string_view file, const char* place = "") {
    has_media_files_ = true;
    return Status::FromAbi(
        keel_request_add_media(request_.get(), modality, file.data(), file.size(), place));
  }
  Status AddMediaUrl(const char* modality, std::string_view url, const char* place = "") {
    has_media_files_ = true;
    return Status::FromAbi(
        keel_request_add_media_url(request_.get(), modality, url.data(), url.size(), place));
  }
  // Submit has something to read and to decode.
  bool has_media_files() const { return has_media_files_; }

  const keel_request* handle() const { return request_.get(); }

 private:
  struct Free {
    void operator()(keel_request* request) const { keel_request_free(request); }
  };
  std::unique_ptr<keel_request, Free> request_;
  bool has_media_files_ = false;
};

// Log-probability of one token and its alternatives, best first.
struct Logprob {
  float logprob = 0;
  std::span<const int32_t> top_tokens;
  std::span<const float> top_logprobs;
};

// A part of a text, of a request that sets parse_output.
struct Part {
  enum class Kind {
    kText = KEEL_PART_TEXT,
    kReasoning = KEEL_PART_REASONING,
    kToolName = KEEL_PART_TOOL_NAME,            // a call of that tool begins
    kToolArguments = KEEL_PART_TOOL_ARGUMENTS,  // of the call that began last
  };

  Kind kind = Kind::kText;
  std::string text;
};

// What one sequence of a request produced since its previous output: a view, see Lifetime above.
class Output {
 public:
  explicit Output(const keel_output* output) : output_(output) {}

  uint64_t request() const { return keel_output_request(output_); }
  // Which of the n sequences.
  uint32_t index() const { return keel_output_index(output_); }
  std::string_view text() const {
    size_t n = 0;
    const char* text = keel_output_text(output_, &n);
    return {text, n};
  }
  // Of a request that sets parse_output.
  std::vector<Part> parts() const {
    std::vector<Part> parts;
    int32_t kind = 0;
    const char* text = nullptr;
    size_t n = 0;
    while (keel_output_part(output_, parts.size(), &kind, &text, &n) == 0)
      parts.push_back({static_cast<Part::Kind>(kind), std::string(text, n)});
    return parts;
  }
  // Tokens of the reasoning that became certain since then, of a request that sets parse_output.
  size_t reasoning_tokens() const { return keel_output_reasoning_tokens(output_); }
  std::span<const int32_t> tokens() const {
    size_t n = 0;
    const int32_t* tokens = keel_output_tokens(output_, &n);
    return {tokens, n};
  }
  // Of new token `i`; nothing if the request did not ask for them.
  std::optional<Logprob> logprob(size_t i) const { return Read(keel_output_logprob, i); }
  // Of prompt token `i`; nothing for token 0, or if the request did not ask for them.
  std::optional<Logprob> prompt_logprob(size_t i) const {
    return Read(keel_output_prompt_logprob, i);
  }
  // Empty while the sequence runs; else "stop", "length", "abort" or "error".
  std::string_view finish_reason() const { return OrEmpty(keel_output_finish_reason(output_)); }
  // The stop string or, as decimal text, the stop token's id; empty when neither ended it.
  std::string_view stop_reason() const { return OrEmpty(keel_output_stop_reason(output_)); }
  // The one of stop_token_ids that ended it.
  std::optional<int32_t> stop_token() const {
    const int32_t token = keel_output_stop_token(output_);
    return token < 0 ? std::nullopt : std::optional<int32_t>(token);
  }
  // Why the request ended with "error".
  Status status() const { return Status::Of(output_); }
  std::span<const int32_t> prompt_tokens() const {
    size_t n = 0;
    const int32_t* tokens = keel_output_prompt_tokens(output_, &n);
    return {tokens, n};
  }
  size_t cached_tokens() const { return keel_output_cached_tokens(output_); }
  // Of a request whose task is "embed" or "classify", in its last output.
  std::span<const float> vector() const {
    size_t n = 0;
    const float* vector = keel_output_vector(output_, &n);
    return {vector, n};
  }
  // Of all tokens so far; 0 unless logprobs, best_of or beam_width was set.
  double cumulative_logprob() const { return keel_output_cumulative_logprob(output_); }
  // The last output of the whole request.
  bool is_last() const { return keel_output_is_last(output_) != 0; }

 private:
  using ReadFn = keel_status (*)(const keel_output*, size_t, float*, const int32_t**, const float**,
                                 size_t*);
  std::optional<Logprob> Read(ReadFn read, size_t i) const {
    float value = 0;
    const int32_t* tokens = nullptr;
    const float* logprobs = nullptr;
    size_t n = 0;
    if (read(output_, i, &value, &tokens, &logprobs, &n) != 0) return std::nullopt;
    return Logprob{value, {tokens, n}, {logprobs, n}};
  }
  static std::string_view OrEmpty(const char* text) { return text == nullptr ? "" : text; }

  const keel_output* output_;
};

// A loaded model and the threads that run it. Movable. Its destructor cancels what runs (each
// request still gets its last output) and waits for callbacks: it must not run in one.
class Engine {
 public:
  using OnOutput = std::function<void(const Output&)>;

  // Loads the model. Takes seconds.
  static Result<Engine> Create(const Options& options) {
    keel_engine* engine = nullptr;
    if (Status status = Status::FromAbi(keel_engine_new(options.handle(), &engine)); !status.ok()) {
      return status;
    }
    return Engine(engine);
  }

  // Not ok once the engine no longer serves.
  Status Check() const { return Status::FromAbi(keel_engine_check(engine_.get())); }
  // A JSON object; lives as long as the engine.
  std::string_view info() const { return keel_engine_info(engine_.get()); }
  // Prometheus text.
  Result<std::string> Metrics() const {
    std::string text;
    Status status = Status::FromAbi(keel_engine_metrics(engine_.get(), AppendBytes, &text));
    if (!status.ok()) return status;
    return text;
  }
  // Token ids of a text and the text of token ids, as requests have them.
  Result<std::vector<int32_t>> Tokenize(std::string_view text, bool add_special_tokens) const {
    std::vector<int32_t> ids;
    Status status = Status::FromAbi(keel_engine_tokenize(
        engine_.get(), text.data(), text.size(), add_special_tokens ? 1 : 0, AppendIds, &ids));
    if (!status.ok()) return status;
    return ids;
  }
  Result<std::string> Detokenize(std::span<const int32_t> ids, bool skip_special_tokens) const {
    std::string text;
    Status status = Status::FromAbi(keel_engine_detokenize(
        engine_.get(), ids.data(), ids.size(), skip_special_tokens ? 1 : 0, AppendBytes, &text));
    if (!status.ok()) return status;
    return text;
  }

  // What a token stands for inside of a text.
  struct TokenBytes {
    std::string bytes;     // the space before a word and parts of a character included
    bool special = false;  // skip_special_tokens leaves it out
  };
  Result<TokenBytes> BytesOf(int32_t token) const {
    TokenBytes out;
    int32_t special = 0;
    Status status = Status::FromAbi(
        keel_engine_token_bytes(engine_.get(), token, AppendBytes, &out.bytes, &special));
    if (!status.ok()) return status;
    out.special = special != 0;
    return out;
  }

  // Ids of the request's prompt as Submit would run it.
  Result<std::vector<int32_t>> PromptTokens(const Request& request) const {
    std::vector<int32_t> ids;
    Status status = Status::FromAbi(
        keel_engine_prompt_tokens(engine_.get(), request.handle(), AppendIds, &ids));
    if (!status.ok()) return status;
    return ids;
  }
  // Forgets what is kept of earlier prompts. FAILED_PRECONDITION: requests run.
  Status ResetPrefixCache() {
    return Status::FromAbi(keel_engine_reset_prefix_cache(engine_.get()));
  }

  // Queues the request and returns its id. `on_output` is called on an engine thread, in order,
  // maybe before this returns, and is destroyed after the last output. It must return soon and
  // must not throw.
  Result<uint64_t> Submit(const Request& request, OnOutput on_output) {
    auto callback = std::make_unique<OnOutput>(std::move(on_output));
    uint64_t id = 0;
    Status status = Status::FromAbi(
        keel_engine_submit(engine_.get(), request.handle(), CallBack, callback.get(), &id));
    if (!status.ok()) return status;
    callback.release();  // CallBack deletes it
    return id;
  }
  // Queues the request, whose outputs are then fetched with Poll.
  Result<uint64_t> Submit(const Request& request) {
    uint64_t id = 0;
    Status status =
        Status::FromAbi(keel_engine_submit(engine_.get(), request.handle(), nullptr, nullptr, &id));
    if (!status.ok()) return status;
    return id;
  }
  // Ends a request soon; its last output follows. NOT_FOUND: it has ended.
  Status Cancel(uint64_t id) { return Status::FromAbi(keel_engine_cancel(engine_.get(), id)); }
  // By hand, for a reader that is behind: see keel_engine_pause. These three may be called in a
  // callback.
  Status Pause(uint64_t id) { return Status::FromAbi(keel_engine_pause(engine_.get(), id)); }
  Status Resume(uint64_t id) { return Status::FromAbi(keel_engine_resume(engine_.get(), id)); }
  // The reader behind a callback has taken so many tokens of a request that sets max_unread_tokens:
  // see keel_engine_read. May be called in a callback.
  Status Read(uint64_t id, int64_t tokens) {
    return Status::FromAbi(keel_engine_read(engine_.get(), id, tokens));
  }
  // Next output of a polled request; waits at most `timeout_ms` (-1: for ever), then
  // DEADLINE_EXCEEDED. The output lives until the next Poll of the same request.
  Result<Output> Poll(uint64_t id, int64_t timeout_ms = -1) {
    const keel_output* output = nullptr;
    Status status = Status::FromAbi(keel_engine_poll(engine_.get(), id, timeout_ms, &output));
    if (!status.ok()) return status;
    return Output(output);
  }

  // For event loops: from the first call of either on, requests submitted without a callback give
  // their outputs to Drain instead of Poll. The descriptor is readable while outputs wait; it is the
  // engine's.
  Result<int> EventFd() {
    int32_t fd = -1;
    if (Status status = Status::FromAbi(keel_engine_event_fd(engine_.get(), &fd)); !status.ok()) {
      return status;
    }
    return fd;
  }
  // The waiting outputs of all those requests, at most `max` (0: all); waits at most `timeout_ms`
  // for the first, then DEADLINE_EXCEEDED. They live until the next Drain. One thread at a time.
  Result<std::vector<Output>> Drain(int64_t timeout_ms = -1, size_t max = 0) {
    const keel_output* const* outputs = nullptr;
    size_t n = 0;
    Status status =
        Status::FromAbi(keel_engine_drain(engine_.get(), timeout_ms, max, &outputs, &n));
    if (!status.ok()) return status;
    return std::vector<Output>(outputs, outputs + n);
  }

 private:
  friend class Lease;
  explicit Engine(keel_engine* engine) : engine_(engine) {}

  static void AppendBytes(void* user, const char* bytes, size_t n) {
    static_cast<std::string*>(user)->append(bytes, n);
  }
  static void AppendIds(void* user, const char* bytes, size_t n) {
    const int32_t* ids = reinterpret_cast<const int32_t*>(bytes);
    static_cast<std::vector<int32_t>*>(user)->assign(ids, ids + n / sizeof(int32_t));
  }
  static void CallBack(void* user, const keel_output* output) noexcept {
    auto* on_output = static_cast<OnOutput*>(user);
    const bool is_last = Output(output).is_last();
    (*on_output)(Output(output));
    if (is_last) delete on_output;
  }

  struct Free {
    void operator()(keel_engine* engine) const { keel_engine_free(engine); }
  };
  std::unique_ptr<keel_engine, Free> engine_;
};

// Log-probability of one token, copied.
struct OwnedLogprob {
  float logprob = 0;
  std::vector<int32_t> top_tokens;
  std::vector<float> top_logprobs;

  OwnedLogprob() = default;
  explicit OwnedLogprob(const Logprob& view)
      : logprob(view.logprob),
        top_tokens(view.top_tokens.begin(), view.top_tokens.end()),
        top_logprobs(view.top_logprobs.begin(), view.top_logprobs.end()) {}
};

// A copy of an Output, for handing it to another thread.
struct OwnedOutput {
  uint32_t index = 0;
  std::string text;
  std::vector<Part> parts;
  std::vector<int32_t> tokens;
  size_t reasoning_tokens = 0;
  std::vector<OwnedLogprob> logprobs;  // one a token, or none
  std::string finish_reason;
  std::string stop_reason;
  std::optional<int32_t> stop_token;
  Status status;
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;
  double cumulative_logprob = 0;
  std::vector<float> vector;
  bool is_last = false;

  OwnedOutput() = default;
  explicit OwnedOutput(const Output& view)
      : index(view.index()),
        text(view.text()),
        parts(view.parts()),
        tokens(view.tokens().begin(), view.tokens().end()),
        reasoning_tokens(view.reasoning_tokens()),
        finish_reason(view.finish_reason()),
        stop_reason(view.stop_reason()),
        stop_token(view.stop_token()),
        status(view.status()),
        prompt_tokens(view.prompt_tokens().size()),
        cached_tokens(view.cached_tokens()),
        cumulative_logprob(view.cumulative_logprob()),
        vector(view.vector().begin(), view.vector().end()),
        is_last(view.is_last()) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::optional<Logprob> logprob = view.logprob(i);
      if (!logprob.has_value()) break;
      logprobs.emplace_back(*logprob);
    }
  }

  // Takes in the next output of the same sequence: as if both had come as one.
  void Append(OwnedOutput&& next) {
    text += next.text;
    for (Part& part : next.parts) {
      const bool goes_on =
          part.kind != Part::Kind::kToolName && !parts.empty() && parts.back().kind == part.kind;
      if (goes_on) {
        parts.back().text += part.text;
      } else {
        parts.push_back(std::move(part));
      }
    }
    tokens.insert(tokens.end(), next.tokens.begin(), next.tokens.end());
    reasoning_tokens += next.reasoning_tokens;
    for (OwnedLogprob& logprob : next.logprobs) logprobs.push_back(std::move(logprob));
    finish_reason = std::move(next.finish_reason);
    stop_reason = std::move(next.stop_reason);
    stop_token = next.stop_token;
    status = std::move(next.status);
    vector = std::move(next.vector);
    is_last = is_last || next.is_last;
  }
};

}  // namespace embed
}  // namespace keel

#endif  // KEEL_SDK_KEEL_ENGINE_H_

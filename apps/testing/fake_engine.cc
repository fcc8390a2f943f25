// The engine ABI without a model: fast, deterministic, and able to fail on demand. For tests of what
// stands above the engine.
//
//   tokens     the bytes of the text (ids 0..255), 256 <bos>, 257 <eos>
//   reply      the prompt's text (of messages: the last one's content), then <eos>; sequence k of n
//              starts at byte k. With ignore_eos it starts again.
//   logprobs   token: -0.5; alternative i: token + i with -0.5 - i
//   vectors    of the task "embed" {tokens, first token}, normalized; of "classify" (tokens + i) / 100 for
//              label i; a text_pair counts as part of the text. use_activation 0: not normalized
//   media      the reply lists those that are added before the prompt: "image URL at PLACE"
//   parts      with parse_output, (...) is reasoning and !name:{...}; a call of a tool
//   failures   "[fail]" in the prompt ends the request with an error after 3 tokens, "[fail once]" the
//              first such request alone; "[die]" ends the engine, "[crash]" the process by SIGKILL;
//              structured output is not served
//   options    see kOptions
#include "apps/testing/fake_engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "boost/json.hpp"
#include "sdk/abi/engine.h"

namespace {

constexpr int kInvalidArgument = 3, kDeadlineExceeded = 4, kNotFound = 5, kResourceExhausted = 8,
              kFailedPrecondition = 9, kOutOfRange = 11, kUnimplemented = 12, kInternal = 13;
constexpr int32_t kBos = 256, kEos = 257;

thread_local std::string error_message;
thread_local std::string error_field;

keel_status Fail(int code, std::string message, std::string field = "") {
  error_message = std::move(message);
  error_field = std::move(field);
  return code;
}

struct Option {
  const char *name, *group, *value_name, *default_value, *help;
};
constexpr Option kOptions[] = {
    {"model", "Model", "PATH", "", "Directory of the model. The fake engine reads nothing of it."},
    {"max-model-len", "Model", "N", "4096", "Tokens of a prompt and its answer, at most."},
    {"plugin-path", "Model", "PATH...", "", "Where to look for plugins, repeatable."},
    {"trust-remote-code", "Model", "POLICY", "false", "What a checkpoint's plugin may do."},
    {"max-num-seqs", "Scheduling", "N", "64", "Sequences that run at once, at most."},
    {"max-waiting", "Scheduling", "N", "1024", "Requests that wait, at most."},
    {"enable-prefix-caching", "Scheduling", "", "true", "Share blocks of equal prompts."},
    {"step-ms", "Testing", "MS", "0", "Time of a step."},
    {"load-ms", "Testing", "MS", "0", "Time that loading takes."},
    {"chat-template", "Testing", "", "true", "Say that the model has a chat template."},
    {"task", "Testing", "TASK", "generate", "What the engine says that it does."},
    {"labels", "Testing", "N", "1", "Of a classifier."},
    {"load-error", "Testing", "TEXT", "", "Fail to load with this message."},
};

}  // namespace

struct keel_options {
  std::map<std::string, std::string> values;
  keel_progress_fn progress = nullptr;
  void* progress_user = nullptr;
  int64_t Int(const char* name) const { return std::stoll(values.at(name)); }
};

struct keel_request {
  std::string text;             // the prompt's text
  std::string reply;            // what the answer repeats
  std::string media;            // what it says of media that were added before its messages
  std::vector<int32_t> prompt;  // set by tokens, else made from text
  bool has_prompt = false;
  std::map<std::string, int64_t> ints;
  std::map<std::string, double> floats;
  std::map<std::string, std::string> strings;
  std::vector<std::string> stop;
  std::set<int64_t> stop_token_ids;

  int64_t Int(const char* name, int64_t unset) const {
    auto it = ints.find(name);
    return it == ints.end() ? unset : it->second;
  }
};

struct keel_output {
  uint64_t request = 0;
  uint32_t index = 0;
  std::string text;
  std::vector<int32_t> tokens;
  std::string finish_reason, stop_reason, message;
  int32_t stop_token = -1;
  keel_status status = 0;
  bool is_first = false, is_last = false;
  int64_t n_logprobs = -2, n_prompt_logprobs = -2;  // -2: not asked for
  std::vector<float> vector;
  std::vector<std::pair<int32_t, std::string>> parts;
  size_t reasoning_tokens = 0;
  std::shared_ptr<const std::vector<int32_t>> prompt;
  // Of the last logprob that was read.
  mutable std::vector<int32_t> top_tokens;
  mutable std::vector<float> top_logprobs;
};

namespace {

struct Sequence {
  size_t at = 0;  // next byte of the reply
  int64_t generated = 0;
  std::string held;     // bytes not yet given out
  keel_output pending;  // collects while stream = 0
  bool first = true;
  bool done = false;
  int32_t part = KEEL_PART_TEXT;  // that is being given
  std::string tool;               // its name so far
};

// Takes what is new of the text apart.
void TakeApart(Sequence& s, keel_output& output, std::string_view text) {
  const auto give = [&](int32_t kind, std::string_view piece) {
    const bool goes_on = !output.parts.empty() && output.parts.back().first == kind;
    if (goes_on && kind != KEEL_PART_TOOL_NAME) {
      output.parts.back().second += piece;
    } else {
      output.parts.emplace_back(kind, piece);
    }
  };
  for (const char& c : text) {
    if (s.part == KEEL_PART_TEXT && (c == '(' || c == '!')) {
      s.part = c == '(' ? KEEL_PART_REASONING : KEEL_PART_TOOL_NAME;
    } else if ((s.part == KEEL_PART_REASONING && c == ')') ||
               (s.part == KEEL_PART_TOOL_ARGUMENTS && c == ';')) {
      s.part = KEEL_PART_TEXT;
    } else if (s.part == KEEL_PART_TOOL_NAME && c == ':') {
      give(KEEL_PART_TOOL_NAME, std::exchange(s.tool, ""));
      s.part = KEEL_PART_TOOL_ARGUMENTS;
    } else if (s.part == KEEL_PART_TOOL_NAME) {
      s.tool += c;
    } else {
      give(s.part, {&c, 1});
      if (s.part == KEEL_PART_REASONING) ++output.reasoning_tokens;
      if (s.part == KEEL_PART_TEXT) output.text += c;
    }
  }
}

struct Running {
  uint64_t id = 0;
  keel_request request;
  std::shared_ptr<const std::vector<int32_t>> prompt;
  keel_output_fn fn = nullptr;
  void* user = nullptr;
  std::vector<Sequence> sequences;
  std::atomic<bool> cancelled = false;
  bool paused = false;
  std::atomic<int64_t> unread = 0;  // tokens given and not read
};

struct Polled {
  std::deque<keel_output> outputs;
  keel_output current;
  bool done = false;
};

// Bytes of `text` that end a UTF-8 character.
size_t CompleteBytes(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const unsigned char c = text[text.size() - back];
    if (c >= 0xC0) {
      const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
      return length > back ? text.size() - back : text.size();
    }
  }
  return text.size();
}

}  // namespace

struct keel_engine {
  explicit keel_engine(const keel_options& options)
      : options_(options), thread_([this] { Run(); }) {}
  ~keel_engine() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  keel_status Submit(const keel_request& request, keel_output_fn fn, void* user, uint64_t* id);
  keel_status Cancel(uint64_t id);
  keel_status Pause(uint64_t id, bool paused);
  keel_status Read(uint64_t id, int64_t tokens);
  keel_status Poll(uint64_t id, int64_t timeout_ms, const keel_output** out);
  keel_status Check() {
    std::lock_guard lock(mutex_);
    return dead_ ? Fail(kInternal, "the engine's thread failed: the prompt said so") : 0;
  }

  size_t NumRequests() {
    std::lock_guard lock(mutex_);
    return running_.size();
  }

  keel_options options_;
  std::function<void()> release_;  // instead of freeing

 private:
  void Run();
  void Step(Running& running);
  void StepSequence(Running& running, size_t index);
  bool MustFail(const std::string& reply);
  std::vector<float> VectorOf(const Running& running, const std::string& task) const;
  void Deliver(Running& running, keel_output output);
  bool AllDone(const Running& running) const {
    return std::all_of(running.sequences.begin(), running.sequences.end(),
                       [](const Sequence& s) { return s.done; });
  }

  std::mutex mutex_;
  std::condition_variable wake_, polled_wake_;
  std::map<uint64_t, std::shared_ptr<Running>> running_;
  std::map<uint64_t, Polled> polled_;
  uint64_t next_id_ = 1;
  bool stopping_ = false, dead_ = false;
  std::set<std::string> failed_once_;  // the thread's
  std::thread thread_;
};

keel_status keel_engine::Submit(const keel_request& request, keel_output_fn fn, void* user,
                                uint64_t* id) {
  for (const auto& [name, value] : request.strings) {
    if (name.starts_with("structured_")) return Fail(kUnimplemented, name + " is not served yet");
  }
  if (!request.has_prompt) return Fail(kInvalidArgument, "the request has no prompt");
  auto running = std::make_shared<Running>();
  running->request = request;
  auto prompt = std::make_shared<std::vector<int32_t>>(request.prompt);
  if (prompt->empty()) {
    for (const unsigned char c : request.text) prompt->push_back(c);
  }
  if (const auto pair = request.strings.find("text_pair"); pair != request.strings.end()) {
    for (const unsigned char c : pair->second) prompt->push_back(c);
  }
  if (prompt->empty() && request.strings.contains("task"))
    return Fail(kInvalidArgument, "prompt is empty, expected at least one token", "prompt");
  const int64_t limit = options_.Int("max-model-len");
  if (static_cast<int64_t>(prompt->size()) >= limit) {
    return Fail(kInvalidArgument, "the prompt has " + std::to_string(prompt->size()) +
                                      " tokens, the context holds " + std::to_string(limit) +
                                      "; shorten the prompt");
  }
  if (request.reply.empty()) {
    for (const int32_t token : *prompt) running->request.reply.push_back(static_cast<char>(token));
  }
  running->prompt = std::move(prompt);
  running->fn = fn;
  running->user = user;
  running->sequences.resize(request.Int("n", 1));
  for (size_t i = 0; i < running->sequences.size(); ++i) running->sequences[i].at = i;

  std::lock_guard lock(mutex_);
  if (dead_) return Fail(14, "the engine has stopped");
  if (static_cast<int64_t>(running_.size()) >= options_.Int("max-waiting")) {
    return Fail(kResourceExhausted, "the queue is full");
  }
  running->id = *id = next_id_++;
  if (fn == nullptr) polled_[running->id];
  running_[running->id] = std::move(running);
  wake_.notify_all();
  return 0;
}

keel_status keel_engine::Cancel(uint64_t id) {
  std::lock_guard lock(mutex_);
  auto it = running_.find(id);
  if (it == running_.end()) return Fail(kNotFound, "no such request");
  it->second->cancelled = true;
  return 0;
}

keel_status keel_engine::Pause(uint64_t id, bool paused) {
  std::lock_guard lock(mutex_);
  auto it = running_.find(id);
  if (it == running_.end()) return Fail(kNotFound, "no such request");
  it->second->paused = paused;
  return 0;
}

keel_status keel_engine::Read(uint64_t id, int64_t tokens) {
  std::lock_guard lock(mutex_);
  auto it = running_.find(id);
  if (it == running_.end()) return Fail(kNotFound, "no such request");
  it->second->unread -= tokens;
  return 0;
}

keel_status keel_engine::Poll(uint64_t id, int64_t timeout_ms, const keel_output** out) {
  std::unique_lock lock(mutex_);
  auto it = polled_.find(id);
  if (it == polled_.end()) return Fail(kNotFound, "no such request");
  Polled& polled = it->second;
  if (polled.done) {
    polled_.erase(it);
    return Fail(kNotFound, "no such request");
  }
  const auto ready = [&] { return !polled.outputs.empty(); };
  if (timeout_ms < 0) {
    polled_wake_.wait(lock, ready);
  } else if (!polled_wake_.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready)) {
    return Fail(kDeadlineExceeded, "no output yet");
  }
  polled.current = std::move(polled.outputs.front());
  polled.outputs.pop_front();
  polled.done = polled.current.is_last;
  *out = &polled.current;
  return 0;
}

void keel_engine::Run() {
  const auto step = std::chrono::milliseconds(options_.Int("step-ms"));
  const size_t max_seqs = options_.Int("max-num-seqs");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !running_.empty(); });
    if (running_.empty()) return;
    std::vector<std::shared_ptr<Running>> batch;
    for (auto& [id, running] : running_) {
      if (stopping_ || dead_) running->cancelled = true;
      const int64_t max_unread = running->request.Int("max_unread_tokens", 0);
      const bool is_ahead = max_unread > 0 && running->unread >= max_unread;
      if ((running->paused || is_ahead) && !running->cancelled) continue;
      if (batch.size() < max_seqs || running->cancelled) batch.push_back(running);
    }
    const bool stopping = stopping_;
    lock.unlock();
    if (!stopping) std::this_thread::sleep_for(step);
    for (auto& running : batch) Step(*running);
    lock.lock();
    for (auto& running : batch) {
      if (running->request.reply.find("[die]") != std::string::npos) dead_ = true;
      if (AllDone(*running)) running_.erase(running->id);
    }
  }
}

void keel_engine::Step(Running& running) {
  for (size_t i = 0; i < running.sequences.size(); ++i) {
    if (!running.sequences[i].done) StepSequence(running, i);
  }
}

bool keel_engine::MustFail(const std::string& reply) {
  if (reply.find("[fail]") != std::string::npos) return true;
  return reply.find("[fail once]") != std::string::npos && failed_once_.insert(reply).second;
}

void keel_engine::StepSequence(Running& running, size_t index) {
  Sequence& s = running.sequences[index];
  const keel_request& request = running.request;
  keel_output output;
  if (request.Int("stream", 1) == 0) output = std::move(s.pending);
  output.request = running.id;
  output.index = static_cast<uint32_t>(index);
  output.prompt = running.prompt;
  output.n_logprobs = request.Int("logprobs", -2);
  output.n_prompt_logprobs = request.Int("prompt_logprobs", -2);
  output.is_first = s.first;

  const int64_t max_tokens =
      std::min(request.Int("max_tokens", 1 << 20),
               options_.Int("max-model-len") - static_cast<int64_t>(running.prompt->size()));
  if (running.cancelled) {
    output.finish_reason = "abort";
  } else if (s.generated == 3 && request.reply.find("[crash]") != std::string::npos) {
    std::raise(SIGKILL);
  } else if (s.generated == 3 && MustFail(request.reply)) {
    output.finish_reason = "error";
    output.status = kInternal;
    output.message = "the step failed";
  } else if (const auto task = request.strings.find("task");
             task != request.strings.end() && task->second != "generate") {
    output.finish_reason = "stop";
    output.vector = VectorOf(running, task->second);
  } else if (max_tokens == 0) {
    output.finish_reason = "length";
  } else {
    int32_t token = kEos;
    if (s.at < request.reply.size()) token = static_cast<unsigned char>(request.reply[s.at++]);
    if (token == kEos && request.Int("ignore_eos", 0) != 0) s.at = index;
    ++s.generated;
    output.tokens.push_back(token);
    if (token < 256) s.held.push_back(static_cast<char>(token));
    if (token == kEos && request.Int("ignore_eos", 0) == 0) {
      output.finish_reason = "stop";
    } else if (request.stop_token_ids.contains(token)) {
      output.finish_reason = "stop";
      output.stop_reason = std::to_string(token);
      output.stop_token = token;
      if (token < 256) s.held.pop_back();
    } else if (s.generated >= max_tokens) {
      output.finish_reason = "length";
    }
  }
  for (const std::string& stop : request.stop) {
    if (const size_t at = s.held.find(stop); at != std::string::npos) {
      s.held.resize(at);
      output.finish_reason = "stop";
      output.stop_reason = stop;
    }
  }
  size_t ready = CompleteBytes(s.held);
  s.done = !output.finish_reason.empty();
  if (s.done) {
    if (ready < s.held.size()) s.held.replace(ready, std::string::npos, "\xEF\xBF\xBD");
    ready = s.held.size();
  } else {
    for (const std::string& stop : request.stop) {
      for (size_t n = std::min(stop.size(), s.held.size()); n > 0; --n) {
        if (s.held.compare(s.held.size() - n, n, stop, 0, n) == 0) {
          ready = std::min(ready, s.held.size() - n);
          break;
        }
      }
    }
  }
  if (request.Int("parse_output", 0) != 0) {
    TakeApart(s, output, s.held.substr(0, ready));
  } else {
    output.text += s.held.substr(0, ready);
  }
  s.held.erase(0, ready);
  if (!s.done && request.Int("stream", 1) == 0) {
    s.pending = std::move(output);
    return;
  }
  s.first = false;
  output.is_last = AllDone(running);
  Deliver(running, std::move(output));
}

std::vector<float> keel_engine::VectorOf(const Running& running, const std::string& task) const {
  const auto tokens = static_cast<float>(running.prompt->size());
  std::vector<float> out;
  if (task == "classify") {
    for (int64_t i = 0; i < options_.Int("labels"); ++i)
      out.push_back((tokens + static_cast<float>(i)) / 100);
    return out;
  }
  const auto first = static_cast<float>(running.prompt->front());
  const float length =
      running.request.Int("use_activation", 1) != 0 ? std::hypot(tokens, first) : 1;
  return {tokens / length, first / length};
}

void keel_engine::Deliver(Running& running, keel_output output) {
  if (running.fn != nullptr) {
    running.unread += static_cast<int64_t>(output.tokens.size());
    running.fn(running.user, &output);
    return;
  }
  std::lock_guard lock(mutex_);
  polled_[running.id].outputs.push_back(std::move(output));
  polled_wake_.notify_all();
}

namespace {

keel_status ReadLogprob(const keel_output* output, int32_t token, int64_t n, float* logprob,
                        const int32_t** top_tokens, const float** top_logprobs, size_t* n_top) {
  output->top_tokens.clear();
  output->top_logprobs.clear();
  for (int32_t i = 0; i < n; ++i) {
    output->top_tokens.push_back((token + i) % 256);
    output->top_logprobs.push_back(-0.5F - static_cast<float>(i));
  }
  *logprob = -0.5F;
  *top_tokens = output->top_tokens.data();
  *top_logprobs = output->top_logprobs.data();
  *n_top = output->top_tokens.size();
  return 0;
}

const std::set<std::string_view> kInts = {"max_tokens",
                                          "thinking_token_budget",
                                          "truncate_prompt_tokens",
                                          "best_of",
                                          "beam_width",
                                          "early_stopping",
                                          "timeout_ms",
                                          "structured_disable_any_whitespace",
                                          "structured_disable_additional_properties",
                                          "min_tokens",
                                          "n",
                                          "seed",
                                          "top_k",
                                          "logprobs",
                                          "prompt_logprobs",
                                          "priority",
                                          "ignore_eos",
                                          "skip_special_tokens",
                                          "include_stop_str_in_output",
                                          "add_special_tokens",
                                          "add_generation_prompt",
                                          "continue_final_message",
                                          "stream",
                                          "max_unread_tokens",
                                          "parse_output",
                                          "parallel_tool_calls",
                                          "dimensions",
                                          "use_activation"};
const std::set<std::string_view> kFloats = {"temperature",
                                            "top_p",
                                            "min_p",
                                            "typical_p",
                                            "repetition_penalty",
                                            "presence_penalty",
                                            "frequency_penalty",
                                            "length_penalty"};
const std::set<std::string_view> kStrings = {"tools",
                                             "tool_choice",
                                             "tool_name",
                                             "chat_template_kwargs",
                                             "documents",
                                             "mm_processor_kwargs",
                                             "cache_salt",
                                             "request_id",
                                             "task",
                                             "text_pair",
                                             "structured_json",
                                             "structured_regex",
                                             "structured_grammar",
                                             "structured_choice",
                                             "structured_json_object",
                                             "structured_whitespace_pattern"};

keel_status Unknown(const char* name) {
  return Fail(kInvalidArgument, std::string("unknown parameter ") + name, name);
}

}  // namespace

uint32_t keel_engine_abi_version(void) {
  return (KEEL_ENGINE_ABI_MAJOR << 16) | KEEL_ENGINE_ABI_MINOR;
}
const char* keel_version(void) { return "0.1.0"; }
const char* keel_error_message(void) { return error_message.c_str(); }
const char* keel_error_detail(const char* name) {
  return std::string_view(name) == "field" ? error_field.c_str() : "";
}

keel_status keel_options_new(keel_options** out) {
  *out = new keel_options;
  for (const Option& option : kOptions) (*out)->values[option.name] = option.default_value;
  return 0;
}
void keel_options_free(keel_options* options) { delete options; }
keel_status keel_options_set(keel_options* options, const char* name, const char* value) {
  const auto* option = std::find_if(std::begin(kOptions), std::end(kOptions),
                                    [&](const Option& o) { return !std::strcmp(o.name, name); });
  if (option == std::end(kOptions)) {
    return Fail(kInvalidArgument, std::string("unknown option ") + name);
  }
  const std::string_view text = value;
  const std::string_view kind = option->value_name;
  const bool is_number = kind == "N" || kind == "MS";
  if (is_number && (text.empty() || text.size() > 15 ||
                    text.find_first_not_of("0123456789") != std::string_view::npos)) {
    return Fail(kInvalidArgument, "--" + std::string(name) + " " + std::string(text) +
                                      ": expected a whole number, for instance " +
                                      option->default_value);
  }
  options->values[name] = value;
  return 0;
}
keel_status keel_options_set_progress(keel_options* options, keel_progress_fn fn, void* user) {
  options->progress = fn;
  options->progress_user = user;
  return 0;
}
keel_status keel_option_describe(size_t index, const char** name, const char** group,
                                 const char** value_name, const char** default_value,
                                 const char** help) {
  if (index >= std::size(kOptions)) return Fail(kOutOfRange, "no more options");
  const Option& option = kOptions[index];
  *name = option.name;
  *group = option.group;
  *value_name = option.value_name;
  *default_value = option.default_value;
  *help = option.help;
  return 0;
}

keel_status keel_engine_new(const keel_options* options, keel_engine** out) {
  if (options->progress != nullptr) options->progress(options->progress_user, "loading", 0, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(options->Int("load-ms")));
  const std::string& error = options->values.at("load-error");
  if (!error.empty()) return Fail(kInvalidArgument, error);
  *out = new keel_engine(*options);
  return 0;
}
void keel_engine_free(keel_engine* engine) {
  if (engine != nullptr && engine->release_ != nullptr) {
    engine->release_();
  } else {
    delete engine;
  }
}
std::shared_ptr<const keel_options> CopyOptions(const keel_options* options) {
  return std::make_shared<const keel_options>(*options);
}
void SetRelease(keel_engine* engine, std::function<void()> release) {
  engine->release_ = std::move(release);
}
size_t NumRequests(keel_engine* engine) { return engine->NumRequests(); }
keel_status FailWith(int code, const char* message) { return Fail(code, message); }
keel_status keel_engine_check(const keel_engine* engine) {
  return const_cast<keel_engine*>(engine)->Check();
}
const char* keel_engine_info(const keel_engine* engine) {
  thread_local std::string info;
  info = R"({"model":"fake","architecture":"FakeForCausalLM","vocab_size":258,"max_model_len":)" +
         engine->options_.values.at("max-model-len") + R"(,"has_chat_template":)" +
         engine->options_.values.at("chat-template") + R"(,"task":")" +
         engine->options_.values.at("task") + R"(","pooling":{"size":)" +
         engine->options_.values.at("labels") + R"(,"labels":["low","middle","high"]}})";
  return info.c_str();
}
keel_status keel_engine_metrics(const keel_engine*, keel_bytes_fn sink, void* user) {
  constexpr std::string_view kText =
      "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0\n";
  sink(user, kText.data(), kText.size());
  return 0;
}
keel_status keel_engine_tokenize(const keel_engine*, const char* text, size_t n, int32_t special,
                                 keel_bytes_fn sink, void* user) {
  std::vector<int32_t> ids;
  if (special != 0) ids.push_back(kBos);
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<unsigned char>(text[i]));
  sink(user, reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  return 0;
}
keel_status keel_engine_token_bytes(const keel_engine*, int32_t token, keel_bytes_fn sink,
                                    void* user, int32_t* special) {
  if (token < 0 || token > kEos) {
    return Fail(kInvalidArgument, "token " + std::to_string(token) + " is not in 0..257");
  }
  const std::string bytes = token < 256     ? std::string(1, static_cast<char>(token))
                            : token == kBos ? "<bos>"
                                            : "<eos>";
  if (special != nullptr) *special = token >= 256 ? 1 : 0;
  sink(user, bytes.data(), bytes.size());
  return 0;
}
keel_status keel_engine_detokenize(const keel_engine*, const int32_t* ids, size_t n,
                                   int32_t skip_special, keel_bytes_fn sink, void* user) {
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    if (ids[i] < 0 || ids[i] > kEos) {
      return Fail(kInvalidArgument, "token " + std::to_string(ids[i]) + " is not in 0..257");
    }
    if (ids[i] < 256)
      text.push_back(static_cast<char>(ids[i]));
    else if (skip_special == 0)
      text += ids[i] == kBos ? "<bos>" : "<eos>";
  }
  // As a real one: what is no UTF-8 becomes the replacement character.
  if (text.size() == 1 && static_cast<unsigned char>(text[0]) >= 0x80) text = "\xEF\xBF\xBD";
  sink(user, text.data(), text.size());
  return 0;
}

keel_status keel_request_new(keel_request** out) {
  *out = new keel_request;
  return 0;
}
void keel_request_free(keel_request* request) { delete request; }
keel_status keel_request_set_prompt_text(keel_request* request, const char* text, size_t n) {
  request->text.assign(text, n);
  request->reply = request->text + request->media;
  request->has_prompt = true;
  return 0;
}
keel_status keel_request_set_prompt_tokens(keel_request* request, const int32_t* ids, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (ids[i] < 0 || ids[i] > kEos) {
      return Fail(kInvalidArgument, "token " + std::to_string(ids[i]) + " is not in 0..257");
    }
  }
  request->prompt.assign(ids, ids + n);
  request->has_prompt = true;
  return 0;
}
// Parts of text are a line each, as a template that writes strings gets them.
static std::string TextOf(const boost::json::value* content) {
  if (content == nullptr) return "";
  if (content->is_string()) return content->as_string().c_str();
  std::string text;
  if (!content->is_array()) return text;
  for (const auto& part : content->as_array()) {
    if (!text.empty()) text += '\n';
    const auto& type = part.at("type").as_string();
    text +=
        type == "text" ? std::string(part.at("text").as_string()) : "<" + std::string(type) + ">";
  }
  return text;
}
keel_status keel_request_set_messages(keel_request* request, const char* json, size_t n) try {
  const boost::json::value messages = boost::json::parse(boost::json::string_view(json, n));
  for (const auto& message : messages.as_array()) {
    const auto& role = message.at("role").as_string();
    const boost::json::value* content = message.as_object().if_contains("content");
    request->reply = TextOf(content);
    request->text += std::string(role) + ": " + request->reply + "\n";
  }
  request->text += "assistant: ";
  request->reply += request->media;
  request->has_prompt = true;
  return 0;
} catch (const std::exception& e) {
  return Fail(kInvalidArgument, std::string("messages: ") + e.what());
}
keel_status keel_request_set_int(keel_request* request, const char* name, int64_t value) {
  if (!kInts.contains(name)) return Unknown(name);
  const std::string_view key = name;
  const int64_t lowest = key == "n"                           ? 1
                         : key == "max_tokens"                ? 0
                         : key == "seed" || key == "priority" ? INT64_MIN
                                                              : -1;
  if (value < lowest || (key == "n" && value > 64)) {
    return Fail(kInvalidArgument, std::string(name) + " is " + std::to_string(value) +
                                      ", expected at least " + std::to_string(lowest));
  }
  request->ints[name] = value;
  return 0;
}
keel_status keel_request_set_float(keel_request* request, const char* name, double value) {
  if (!kFloats.contains(name)) return Unknown(name);
  if (std::string_view(name) == "temperature" && value < 0) {
    return Fail(kInvalidArgument, "temperature is negative, expected at least 0", name);
  }
  request->floats[name] = value;
  return 0;
}
keel_status keel_request_set_string(keel_request* request, const char* name, const char* value,
                                    size_t n) {
  if (!kStrings.contains(name)) return Unknown(name);
  request->strings[name].assign(value, n);
  return 0;
}
keel_status keel_request_add_string(keel_request* request, const char* name, const char* value,
                                    size_t n) {
  if (std::string_view(name) == "stop") {
    if (n == 0) return Fail(kInvalidArgument, "stop: an empty string never stops");
    request->stop.emplace_back(value, n);
    return 0;
  }
  return std::string_view(name) == "bad_words" ? 0 : Unknown(name);
}
keel_status keel_request_add_int(keel_request* request, const char* name, int64_t value) {
  if (std::string_view(name) == "stop_token_ids") {
    request->stop_token_ids.insert(value);
    return 0;
  }
  return std::string_view(name) == "allowed_token_ids" ? 0 : Unknown(name);
}
keel_status keel_request_add_logit_bias(keel_request*, int32_t token, double) {
  if (token < 0 || token > kEos) {
    return Fail(kInvalidArgument,
                "logit_bias: token " + std::to_string(token) + " is not in 0..257");
  }
  return 0;
}
keel_status keel_request_add_image(keel_request*, const uint8_t*, int64_t, int64_t) { return 0; }
keel_status keel_request_add_audio(keel_request*, const float*, size_t, int64_t) { return 0; }
keel_status keel_request_add_media(keel_request* request, const char* modality, const void*,
                                   size_t n, const char* place) {
  request->media +=
      "\n" + std::string(modality) + " of " + std::to_string(n) + " bytes at " + place;
  return 0;
}
keel_status keel_request_add_media_url(keel_request* request, const char* modality, const char* url,
                                       size_t n, const char* place) {
  request->media += "\n" + std::string(modality) + " " + std::string(url, n) + " at " + place;
  return 0;
}

keel_status keel_engine_submit(keel_engine* engine, const keel_request* request, keel_output_fn fn,
                               void* user, uint64_t* id) {
  return engine->Submit(*request, fn, user, id);
}
keel_status keel_engine_prompt_tokens(const keel_engine*, const keel_request* request,
                                      keel_bytes_fn sink, void* user) {
  if (!request->has_prompt) return Fail(kInvalidArgument, "the request has no prompt");
  std::vector<int32_t> ids = request->prompt;
  if (ids.empty()) {
    for (const unsigned char c : request->text) ids.push_back(c);
  }
  sink(user, reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  return 0;
}
keel_status keel_engine_reset_prefix_cache(keel_engine* engine) {
  if (NumRequests(engine) == 0) return 0;
  return Fail(kFailedPrecondition, "the prefix cache is in use by requests; wait for them");
}
keel_status keel_engine_cancel(keel_engine* engine, uint64_t id) { return engine->Cancel(id); }
keel_status keel_engine_read(keel_engine* engine, uint64_t id, int64_t tokens) {
  return engine->Read(id, tokens);
}
keel_status keel_engine_pause(keel_engine* engine, uint64_t id) { return engine->Pause(id, true); }
keel_status keel_engine_resume(keel_engine* engine, uint64_t id) {
  return engine->Pause(id, false);
}
keel_status keel_engine_poll(keel_engine* engine, uint64_t id, int64_t timeout_ms,
                             const keel_output** out) {
  return engine->Poll(id, timeout_ms, out);
}

uint64_t keel_output_request(const keel_output* output) { return output->request; }
uint32_t keel_output_index(const keel_output* output) { return output->index; }
const char* keel_output_text(const keel_output* output, size_t* n) {
  *n = output->text.size();
  return output->text.data();
}
const int32_t* keel_output_tokens(const keel_output* output, size_t* n) {
  *n = output->tokens.size();
  return output->tokens.data();
}
keel_status keel_output_logprob(const keel_output* output, size_t i, float* logprob,
                                const int32_t** top_tokens, const float** top_logprobs,
                                size_t* n_top) {
  if (output->n_logprobs == -2 || i >= output->tokens.size()) return Fail(kNotFound, "no logprob");
  return ReadLogprob(output, output->tokens[i], output->n_logprobs, logprob, top_tokens,
                     top_logprobs, n_top);
}
keel_status keel_output_prompt_logprob(const keel_output* output, size_t i, float* logprob,
                                       const int32_t** top_tokens, const float** top_logprobs,
                                       size_t* n_top) {
  if (output->n_prompt_logprobs == -2 || !output->is_first || i == 0 ||
      i >= output->prompt->size()) {
    return Fail(kNotFound, "no logprob");
  }
  return ReadLogprob(output, (*output->prompt)[i], output->n_prompt_logprobs, logprob, top_tokens,
                     top_logprobs, n_top);
}
const char* keel_output_finish_reason(const keel_output* output) {
  return output->finish_reason.empty() ? nullptr : output->finish_reason.c_str();
}
const char* keel_output_stop_reason(const keel_output* output) {
  return output->stop_reason.c_str();
}
int32_t keel_output_stop_token(const keel_output* output) { return output->stop_token; }
const char* keel_output_error_detail(const keel_output*, const char*) { return ""; }
keel_status keel_output_status(const keel_output* output, const char** message) {
  if (message != nullptr) *message = output->message.c_str();
  return output->status;
}
const int32_t* keel_output_prompt_tokens(const keel_output* output, size_t* n) {
  *n = output->prompt->size();
  return output->prompt->data();
}
const float* keel_output_vector(const keel_output* output, size_t* n) {
  *n = output->vector.size();
  return output->vector.data();
}
keel_status keel_output_part(const keel_output* output, size_t i, int32_t* kind, const char** text,
                             size_t* n) {
  if (i >= output->parts.size()) return Fail(kOutOfRange, "no more parts");
  *kind = output->parts[i].first;
  *text = output->parts[i].second.data();
  *n = output->parts[i].second.size();
  return 0;
}
size_t keel_output_reasoning_tokens(const keel_output* output) { return output->reasoning_tokens; }
size_t keel_output_cached_tokens(const keel_output*) { return 0; }
double keel_output_cumulative_logprob(const keel_output*) { return 0; }
int32_t keel_output_is_last(const keel_output* output) { return output->is_last ? 1 : 0; }

#include "tests/engine/testing.h"

#include <chrono>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <thread>
#include <utility>

#include "gtest/gtest.h"

namespace keel {
void Add(const Output& output, Answer& answer) {
  Text& text = answer.texts[output.index()];
  text.tokens.insert(text.tokens.end(), output.tokens().begin(), output.tokens().end());
  text.text += output.text();
  for (size_t i = 0; i < output.tokens().size(); ++i) {
    if (const auto logprob = output.logprob(i)) text.logprobs.push_back(logprob->logprob);
  }
  for (size_t i = 1; i < output.prompt_tokens().size(); ++i) {
    if (const auto logprob = output.prompt_logprob(i))
      text.prompt_logprobs.push_back(logprob->logprob);
  }
  text.vector.assign(output.vector().begin(), output.vector().end());
  text.cumulative_logprob = output.cumulative_logprob();
  ++text.num_outputs;
  if (!output.finish_reason().empty()) {
    text.reason = output.finish_reason();
    text.stop_reason = output.stop_reason();
    ++text.num_ends;
  }
  answer.status = output.status();
  answer.cached = output.cached_tokens();
  if (output.is_last()) ++answer.num_last;
}

namespace {

void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.message(); }

}  // namespace

std::unique_ptr<Engine> StartEngine(const Flags& flags) {
  Options options;
  if (!flags.contains("model")) ExpectOk(options.Set("model", kTinyLlama));
  ExpectOk(
      options.Set("max-decode-slowdown", "0"));  // what steps do is not to go by what they took
  for (const auto& [name, value] : flags) ExpectOk(options.Set(name.c_str(), value));
  Result<Engine> engine = Engine::Create(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? std::make_unique<Engine>(std::move(engine).value()) : nullptr;
}

Flags WithBlocks(int64_t blocks, Flags flags) {
  flags["kv-cache-memory-bytes"] = std::to_string(blocks * kTinyLlamaBlockBytes);
  return flags;
}

double Metric(const Engine& engine, std::string_view name, std::string_view label) {
  const Result<std::string> text = engine.Metrics();
  EXPECT_TRUE(text.ok());
  std::istringstream lines(*text);
  std::string line;
  double sum = 0;
  bool found = false;
  while (std::getline(lines, line)) {
    const size_t end = line.rfind(' ');
    if (!line.starts_with(name) || line.substr(name.size(), 1) != "{" ||
        line.find(label) == std::string::npos || end == std::string::npos) {
      continue;
    }
    found = true;
    sum += std::strtod(line.c_str() + end, nullptr);
  }
  EXPECT_TRUE(found) << "no metric " << name << " " << label;
  return sum;
}

bool ComesToRest(const Engine& engine) {
  for (int i = 0; i < 1000; ++i) {
    if (Metric(engine, "vllm:num_requests_running") == 0 &&
        Metric(engine, "vllm:num_requests_waiting") == 0 &&
        Metric(engine, "vllm:kv_cache_usage_perc") == 0) {
      return true;
    }
    // The last output comes before the metrics of its step.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

Status Client::Start(int key, const Request& request, OnOutput on_output) {
  {
    std::lock_guard lock(mutex_);
    ++open_;
  }
  const Result<uint64_t> id = engine_.Submit(request, [this, key, on_output](const Output& output) {
    if (on_output) on_output(output);
    std::lock_guard lock(mutex_);
    Add(output, answers_[key]);
    if (output.is_last()) --open_, done_.notify_all();
  });
  std::lock_guard lock(mutex_);
  if (id.ok()) {
    ids_[key] = *id;
    return Status();
  }
  --open_;
  return id.status();
}

uint64_t Client::IdOf(int key) {
  std::lock_guard lock(mutex_);
  return ids_.at(key);
}

std::map<int, Answer> Client::Wait() {
  WaitFor(0);
  std::lock_guard lock(mutex_);
  return answers_;
}

void Client::WaitFor(int at_most) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return open_ <= at_most; });
}

std::map<int, Answer> Client::TakeEnded() {
  std::lock_guard lock(mutex_);
  std::map<int, Answer> out;
  for (auto it = answers_.begin(); it != answers_.end();) {
    const auto next = std::next(it);
    if (it->second.num_last > 0) {
      ids_.erase(it->first);
      out.insert(answers_.extract(it));
    }
    it = next;
  }
  return out;
}

Answer Ask(Engine& engine, const Request& request) {
  Client client(engine);
  ExpectOk(client.Start(0, request));
  return client.Wait()[0];
}

Asked::Asked(const std::vector<int32_t>& prompt, int64_t max_tokens) {
  ExpectOk(request_->SetPromptTokens(prompt));
  Int("max_tokens", max_tokens).Float("temperature", 0).Int("ignore_eos", 1);
}

Asked& Asked::Int(const char* name, int64_t value) {
  ExpectOk(request_->SetInt(name, value));
  return *this;
}

Asked& Asked::Float(const char* name, double value) {
  ExpectOk(request_->SetFloat(name, value));
  return *this;
}

Asked& Asked::String(const char* name, std::string_view value) {
  ExpectOk(request_->SetString(name, value));
  return *this;
}

Asked& Asked::Add(const char* name, std::string_view value) {
  ExpectOk(request_->AddString(name, value));
  return *this;
}

Asked& Asked::Add(const char* name, int64_t value) {
  ExpectOk(request_->AddInt(name, value));
  return *this;
}

Asked& Asked::Draws(int64_t seed, double temperature) {
  return Float("temperature", temperature).Int("seed", seed);
}

std::vector<int32_t> Prompt(int seed, int size, int vocab_size) {
  std::vector<int32_t> out(size);
  for (int i = 0; i < size; ++i)
    out[i] = 3 + (seed * 7919 + i * i * 31 + i * 17) % (vocab_size - 3);
  return out;
}

}  // namespace keel

// Helpers of the engine's tests: an engine with a tiny model, requests, and what came of them.
#ifndef KEEL_TESTS_ENGINE_TESTING_H_
#define KEEL_TESTS_ENGINE_TESTING_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel {

inline constexpr char kTinyLlama[] = "plugins/llama/testdata/default";
inline constexpr int64_t kTinyLlamaBlockBytes = 8192;  // of 16 tokens

using Flags = std::map<std::string, std::string>;

// An engine with the tiny llama, or with what `flags` name. The test has failed if it is null.
std::unique_ptr<Engine> StartEngine(const Flags& flags = {});

// Flags for a cache of so many blocks.
Flags WithBlocks(int64_t blocks, Flags flags = {});

// The sum of a metric's samples whose name and labels hold both strings.
double Metric(const Engine& engine, std::string_view name, std::string_view label = "");

// Waits until nothing runs, waits or uses a block; false after ten seconds.
bool ComesToRest(const Engine& engine);

// What one sequence of a request gave, put together.
struct Text {
  std::vector<int32_t> tokens;
  std::string text, reason, stop_reason;
  std::vector<float> logprobs;
  double cumulative_logprob = 0;
  std::vector<float> prompt_logprobs;
  std::vector<float> vector;  // of a request for one
  int num_outputs = 0, num_ends = 0;
};

struct Answer {
  std::map<uint32_t, Text> texts;  // by index
  Status status;                   // of the last output
  size_t cached = 0;
  int num_last = 0;

  const Text& operator[](uint32_t index) const { return texts.at(index); }
};

void Add(const Output& output, Answer& answer);

// Requests under way, by a key of the test's. Waits for all of them when it goes.
class Client {
 public:
  using OnOutput = std::function<void(const Output&)>;

  explicit Client(Engine& engine) : engine_(engine) {}
  ~Client() { Wait(); }

  // Starts a request; `on_output` sees each output, on the engine's thread, before it is added.
  Status Start(int key, const Request& request, OnOutput on_output = {});
  // To one that may have ended meanwhile.
  void Cancel(int key) { (void)engine_.Cancel(IdOf(key)); }
  void Pause(int key) { (void)engine_.Pause(IdOf(key)); }
  void Resume(int key) { (void)engine_.Resume(IdOf(key)); }
  // The answers of all that was started.
  std::map<int, Answer> Wait();
  // Waits until `at_most` requests are under way.
  void WaitFor(int at_most);
  // Takes the answers of the requests that have ended.
  std::map<int, Answer> TakeEnded();

 private:
  uint64_t IdOf(int key);

  Engine& engine_;
  std::mutex mutex_;
  std::condition_variable done_;
  int open_ = 0;
  std::map<int, Answer> answers_;
  std::map<int, uint64_t> ids_;
};

// The answer to one request; fails the test if it is refused.
Answer Ask(Engine& engine, const Request& request);

// A request whose setters fail the test instead of returning a status.
class Asked {
 public:
  // Greedy, without an end by eos.
  Asked(const std::vector<int32_t>& prompt, int64_t max_tokens);

  Asked& Int(const char* name, int64_t value);
  Asked& Float(const char* name, double value);
  Asked& String(const char* name, std::string_view value);
  Asked& Add(const char* name, std::string_view value);
  Asked& Add(const char* name, int64_t value);
  // Draws, with `seed`.
  Asked& Draws(int64_t seed, double temperature = 1);

  operator const Request&() const { return *request_; }  // NOLINT

 private:
  std::shared_ptr<Request> request_ = std::make_shared<Request>();
};

// A prompt of `size` tokens, none special and all below `vocab_size`; another for another seed.
std::vector<int32_t> Prompt(int seed, int size, int vocab_size = 123);

}  // namespace keel
#endif  // KEEL_TESTS_ENGINE_TESTING_H_

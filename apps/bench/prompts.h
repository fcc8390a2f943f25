// What the bench asks for.
#ifndef KEEL_APPS_BENCH_PROMPTS_H_
#define KEEL_APPS_BENCH_PROMPTS_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

using Prompt = std::vector<int32_t>;

// Random token ids, the same ones in each run of the program. No two prompts of one Prompts share a
// beginning of more than a few tokens, so none is found in the prefix cache.
class Prompts {
 public:
  explicit Prompts(int64_t vocab_size) : ids_(0, static_cast<int32_t>(vocab_size) - 1) {}

  Prompt Next(size_t tokens);

 private:
  std::mt19937 random_{0};
  std::uniform_int_distribution<int32_t> ids_;
};

struct Ask {
  Prompt prompt;
  size_t new_tokens = 1;  // exactly: nothing ends it earlier; 0: all that the context has left
  bool stream = true;     // false: one output, at the end
  std::string cache_salt = {};
};

// A greedy request.
Result<Request> MakeRequest(const Ask& ask);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_PROMPTS_H_

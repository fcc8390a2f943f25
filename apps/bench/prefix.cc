#include "apps/bench/prefix.h"

#include <algorithm>
#include <string>

namespace keel::apps {
namespace {

constexpr size_t kOwnTokens = 16;  // that follow the prefix

// Asks for one token, whose output is not held back for text.
Status AskOne(Bench& bench, Prompt prompt, const std::string& cache_salt, const std::string& label,
              PrefixTimes::Part* part) {
  const Prompt own = bench.prompts.Next(kOwnTokens);
  prompt.insert(prompt.end(), own.begin(), own.end());
  const auto ran =
      RunClosedLoop(bench, {{.prompt = std::move(prompt), .cache_salt = cache_salt}}, 1, label);
  if (!ran.ok()) return ran.status();
  if (ran->empty() || !ran->front().is_complete()) return Status();  // stopped
  part->ttft.push_back(ran->front().time_to_first_token());
  part->cached_tokens = std::max(part->cached_tokens, ran->front().cached_tokens);
  return Status();
}

}  // namespace

Result<PrefixTimes> MeasurePrefix(Bench& bench, const PrefixLoad& load) {
  PrefixTimes times;
  for (size_t i = 0; i < load.repeats && !bench.stop; ++i) {
    const Prompt prefix = bench.prompts.Next(load.prefix_tokens);
    const std::string label = "prefix " + std::to_string(i + 1);
    for (const auto& [part, salt] :
         {std::pair{&times.first, ""}, {&times.second, ""}, {&times.salted, "other"}}) {
      if (Status status = AskOne(bench, prefix, salt, label, part); !status.ok()) return status;
    }
  }
  return times;
}

}  // namespace keel::apps

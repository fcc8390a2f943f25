// How one request wants its tokens chosen: vLLM's SamplingParams, those that change logits.
#ifndef KEEL_CORE_SAMPLING_SAMPLING_PARAMS_H_
#define KEEL_CORE_SAMPLING_SAMPLING_PARAMS_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace keel {

struct SamplingParams {
  double temperature = 1;         // 0: greedy
  int64_t top_k = 0;              // 0 or -1: off
  double top_p = 1;               // (0, 1]
  double min_p = 0;               // [0, 1]
  double typical_p = 1;           // (0, 1]
  double repetition_penalty = 1;  // > 0; over prompt and output
  double presence_penalty = 0;    // [-2, 2]; over the output
  double frequency_penalty = 0;   // [-2, 2]; over the output
  std::vector<std::pair<int32_t, double>> logit_bias;
  std::vector<int32_t> allowed_token_ids;       // empty: all
  std::vector<std::vector<int32_t>> bad_words;  // token sequences that must not come about
  int64_t min_tokens = 0;                       // end tokens are banned before
  std::optional<int64_t> seed;                  // unset: random
  std::optional<int64_t> logprobs;  // alternatives to report, -1: all; unset: none at all
};

// For a request that names none.
uint64_t RandomSeed();

// INVALID_ARGUMENT names the parameter, what was found and what is expected. vocab_size bounds token ids.
absl::Status CheckSamplingParams(const SamplingParams& params, int64_t vocab_size);

}  // namespace keel
#endif  // KEEL_CORE_SAMPLING_SAMPLING_PARAMS_H_

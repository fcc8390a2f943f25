// From a row of logits to a token.
//
// Order, as in vLLM: log-probabilities are of the raw logits; then bans (allowed_token_ids, bad words, min_tokens),
// logit_bias, penalties, argmax for greedy rows; else temperature, top_k, top_p, min_p, typical_p and a draw. Each
// equals transformers' processor of the same name (reference: generation/logits_process.py).
//
// A token depends on its row, its sequence and the seed alone: not on other sequences, threads or the instruction set.
#ifndef KEEL_CORE_SAMPLING_SAMPLER_H_
#define KEEL_CORE_SAMPLING_SAMPLER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/sampling/sampling_params.h"

namespace keel {

struct SampledToken {
  int32_t token = 0;
  float logprob = 0;                // of `token`; the rest only when params.logprobs is set
  std::vector<int32_t> top_tokens;  // best first
  std::vector<float> top_logprobs;
};

// The log-probability of `token` under `logits` [vocab], and the best `alternatives` (-1: all). A prompt's
// log-probabilities come from here; Sample uses it too.
SampledToken ReportLogprobs(absl::Span<const float> logits, int32_t token, int64_t alternatives);

// The sampling of one sequence: its parameters, what it has seen, its stream of random numbers. The same seed gives the
// same tokens whatever else is in the batch. One thread at a time; copyable, so that a sequence can fork.
class SequenceSampler {
 public:
  // `end_tokens` are what min_tokens bans. params must have been checked.
  SequenceSampler(const SamplingParams& params, absl::Span<const int32_t> prompt,
                  std::vector<int32_t> end_tokens, int64_t vocab_size);
  SequenceSampler(const SequenceSampler&);
  SequenceSampler(SequenceSampler&&) noexcept;
  ~SequenceSampler();

  // Draws go on from here in the stream of `seed`: for copies that are to differ.
  void SetSeed(uint64_t seed);

  // Chooses the next token and remembers it. `logits` [vocab] is scratch afterwards, unless
  // `keep_logits`. `allowed`: a bit mask over the vocabulary (grammars), empty for all. NaN and
  // infinite logits are never chosen. No allocation per token once warm, but for reported
  // log-probabilities. Errors, after which nothing is remembered: INVALID_ARGUMENT names the
  // constraints that together leave no token; DATA_LOSS: the row holds no finite number.
  absl::StatusOr<SampledToken> Sample(absl::Span<float> logits,
                                      absl::Span<const uint32_t> allowed = {},
                                      bool keep_logits = false);

  // Sample's INVALID_ARGUMENT, as far as it is known before any logits.
  absl::Status CheckChoice(absl::Span<const uint32_t> allowed = {}) const;

  // Why nothing can be chosen from `scores` [vocab], a row after Adjust without a finite number.
  absl::Status WhyNoChoice(absl::Span<const float> scores, bool has_mask) const;

  // Whether constraints besides a grammar's mask bear on the next token.
  bool is_constrained() const;

  // Remembers a token that was chosen otherwise, as if Sample had given it.
  void Observe(int32_t token);

  // Applies to `scores` [vocab], logits or log-probabilities, what does not depend on a draw: bans, bias, penalties.
  void Adjust(absl::Span<float> scores, absl::Span<const uint32_t> allowed = {}) const;

  // What Sample draws from, without drawing: `logits` become the processed scores, -infinity for removed tokens.
  void Process(absl::Span<float> logits, absl::Span<const uint32_t> allowed = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace keel
#endif  // KEEL_CORE_SAMPLING_SAMPLER_H_

#include "core/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "core/sampling/processors.h"

namespace keel {
namespace {

// A number in [0, 1) for the n-th draw of a stream: splitmix64 of seed and n, so that a stream is its seed and a count.
double Uniform(uint64_t seed, uint64_t n) {
  uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

uint64_t RandomSeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// The best score; the lowest id among equals. NaN is never better. 0 when nothing is finite.
int32_t ArgMax(absl::Span<const float> scores) {
  float best = -std::numeric_limits<float>::infinity();
  for (const float score : scores) best = score > best ? score : best;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] == best) return static_cast<int32_t>(i);
  }
  return 0;
}

int32_t Draw(const Candidates& candidates, double uniform) {
  float best = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates) best = std::max(best, c.score);
  double sum = 0;
  for (const Candidate& c : candidates) sum += std::exp(static_cast<double>(c.score) - best);
  double rest = uniform * sum;
  for (const Candidate& c : candidates) {
    rest -= std::exp(static_cast<double>(c.score) - best);
    if (rest < 0) return c.token;
  }
  return candidates.back().token;
}

// Scratch of this thread; its capacity stays.
Candidates& Scratch() {
  thread_local Candidates candidates;
  return candidates;
}

}  // namespace

SampledToken ReportLogprobs(absl::Span<const float> logits, int32_t token, int64_t alternatives) {
  SampledToken out;
  out.token = token;
  float best = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) best = logit > best ? logit : best;
  double sum = 0;
  for (const float logit : logits) {
    if (std::isfinite(logit)) sum += std::exp(static_cast<double>(logit) - best);
  }
  const double log_sum = std::log(sum) + best;
  out.logprob = static_cast<float>(logits[token] - log_sum);
  const auto size = static_cast<int64_t>(logits.size());
  const int64_t n = alternatives < 0 ? size : std::min(alternatives, size);
  if (n == 0) return out;
  Candidates& candidates = Scratch();
  Collect(logits, n, true, candidates);
  for (int64_t i = 0; i < std::min<int64_t>(n, static_cast<int64_t>(candidates.size())); ++i) {
    out.top_tokens.push_back(candidates[i].token);
    out.top_logprobs.push_back(static_cast<float>(candidates[i].score - log_sum));
  }
  return out;
}

struct SequenceSampler::State {
  SamplingParams params;
  std::vector<int32_t> end_tokens;
  std::vector<int32_t> text;  // prompt and output; for bad words
  std::vector<int32_t> seen;  // distinct tokens of text; for the repetition penalty
  std::vector<std::pair<int32_t, int32_t>> counts;  // of the output
  absl::flat_hash_map<int32_t, size_t> place;       // token -> in counts
  std::vector<bool> is_seen;                        // by token; empty without a repetition penalty
  uint64_t seed = 0;
  uint64_t draws = 0;
  int64_t generated = 0;

  bool counts_output() const {
    return params.presence_penalty != 0 || params.frequency_penalty != 0;
  }

  void See(int32_t token) {
    if (!params.bad_words.empty()) text.push_back(token);
    if (!is_seen.empty() && !is_seen[token]) {
      is_seen[token] = true;
      seen.push_back(token);
    }
  }

  void Process(absl::Span<float> scores, absl::Span<const uint32_t> allowed) const {
    if (!allowed.empty()) KeepMasked(scores, allowed);
    if (!params.allowed_token_ids.empty()) KeepTokens(scores, params.allowed_token_ids);
    if (!params.bad_words.empty()) RemoveBadWords(scores, params.bad_words, text);
    if (generated < params.min_tokens) RemoveTokens(scores, end_tokens);
    AddBias(scores, params.logit_bias);
    if (params.repetition_penalty != 1) PenalizeRepetition(scores, seen, params.repetition_penalty);
    PenalizePresence(scores, counts, params.presence_penalty, params.frequency_penalty);
  }

  // As vLLM: so small a temperature is greedy.
  bool greedy() const { return params.temperature < 1e-5; }

  // The tokens that a draw is among; in this thread's scratch.
  Candidates& Filter(absl::Span<float> scores) const {
    if (params.temperature != 1) Scale(scores, params.temperature);
    Candidates& candidates = Scratch();
    Collect(scores, params.top_k, params.top_p < 1, candidates);
    if (candidates.empty()) return candidates;
    if (params.top_p < 1) KeepTopP(candidates, params.top_p);
    if (params.min_p > 0) KeepMinP(candidates, params.min_p);
    if (params.typical_p < 1) KeepTypical(candidates, params.typical_p);
    return candidates;
  }

  int32_t Choose(absl::Span<float> scores) {
    if (greedy()) return ArgMax(scores);
    const Candidates& candidates = Filter(scores);
    return candidates.empty() ? ArgMax(scores) : Draw(candidates, Uniform(seed, draws++));
  }
};

SequenceSampler::SequenceSampler(const SamplingParams& params, absl::Span<const int32_t> prompt,
                                 std::vector<int32_t> end_tokens, int64_t vocab_size)
    : state_(std::make_unique<State>()) {
  state_->params = params;
  state_->end_tokens = std::move(end_tokens);
  state_->seed = params.seed.has_value() ? static_cast<uint64_t>(*params.seed) : RandomSeed();
  if (params.repetition_penalty != 1) state_->is_seen.resize(static_cast<size_t>(vocab_size));
  // A bad word that is an end token is left alone, as in transformers: generation could not end.
  std::erase_if(state_->params.bad_words, [&](const std::vector<int32_t>& word) {
    const std::vector<int32_t>& ends = state_->end_tokens;
    return word.size() == 1 && std::find(ends.begin(), ends.end(), word[0]) != ends.end();
  });
  for (const int32_t token : prompt) state_->See(token);
}

SequenceSampler::SequenceSampler(const SequenceSampler& other)
    : state_(std::make_unique<State>(*other.state_)) {}
SequenceSampler::SequenceSampler(SequenceSampler&&) noexcept = default;
SequenceSampler::~SequenceSampler() = default;

void SequenceSampler::Observe(int32_t token) {
  State& state = *state_;
  ++state.generated;
  state.See(token);
  if (!state.counts_output()) return;
  const auto [it, fresh] = state.place.try_emplace(token, state.counts.size());
  if (fresh) state.counts.emplace_back(token, 0);
  ++state.counts[it->second].second;
}

void SequenceSampler::Process(absl::Span<float> logits) const {
  state_->Process(logits, {});
  if (state_->greedy()) return;
  const Candidates& candidates = state_->Filter(logits);
  std::fill(logits.begin(), logits.end(), -std::numeric_limits<float>::infinity());
  for (const Candidate& c : candidates) logits[c.token] = c.score;
}

SampledToken SequenceSampler::Sample(absl::Span<float> logits, absl::Span<const uint32_t> allowed) {
  State& state = *state_;
  SampledToken out;
  if (!state.params.logprobs.has_value()) {
    state.Process(logits, allowed);
    out.token = state.Choose(logits);
  } else {
    thread_local std::vector<float> raw;
    raw.assign(logits.begin(), logits.end());
    state.Process(logits, allowed);
    out = ReportLogprobs(raw, state.Choose(logits), *state.params.logprobs);
  }
  Observe(out.token);
  return out;
}

}  // namespace keel

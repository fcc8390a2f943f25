#include "core/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/sampling/candidates.h"
#include "core/sampling/processors.h"
#include "core/sampling/row.h"

namespace keel {
namespace {

// A number in [0, 1) for the n-th draw of a stream: splitmix64 of seed and n, so that a stream is its seed and a count.
double Uniform(uint64_t seed, uint64_t n) {
  uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

// Scratch of this thread; its capacity stays.
struct Scratch {
  Row row;
  Candidates candidates;
  std::vector<float> copy;
};
Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// The tokens that a draw from `row` is among, with their weights. The row's best score is finite.
void Filter(const SamplingParams& p, int64_t vocab_size, Row& row, Candidates& out) {
  const auto t = static_cast<float>(p.temperature);
  const float best = row.best() / t;
  const double least =
      p.min_p > 0 ? best + std::log(p.min_p) : std::numeric_limits<float>::lowest();
  // Whether typical_p works on the whole row, and not on what another filter left.
  const bool typical_first = p.typical_p < 1 && p.top_p == 1 && p.min_p == 0;
  BlockSum total;  // of what top_p, or typical_p if first, works on
  if (p.top_k > 0 && p.top_k < vocab_size) {
    row.CollectBest(p.top_k, t, out);
    out.SetWeights(best);
    total = out.Sum();
  } else {
    double threshold = least;
    if (p.top_p < 1 || typical_first) {
      total = row.Sum(t);
      const double below = p.top_p < 1 ? TopPThreshold(p.top_p, total, vocab_size)
                                       : TypicalThreshold(p.typical_p, total, vocab_size);
      threshold = std::max(threshold, best + below);
    }
    row.CollectAbove(threshold, t, out);
    out.SetWeights(best);
  }
  if (p.top_p < 1) out.KeepTopP(p.top_p, total);
  if (p.min_p > 0) out.KeepAtLeast(least);
  if (p.typical_p < 1) out.KeepTypical(p.typical_p, typical_first ? total : out.Sum());
}

}  // namespace

SampledToken ReportLogprobs(absl::Span<const float> logits, int32_t token, int64_t alternatives) {
  auto& [row, candidates, copy] = ThreadScratch();
  SampledToken out;
  out.token = token;
  out.logprob = kRemoved;
  row.Reset(logits);
  if (row.best() == kRemoved) return out;
  const double log_sum = std::log(row.Sum(1).weight) + row.best();
  out.logprob = static_cast<float>(logits[static_cast<size_t>(token)] - log_sum);
  const auto size = static_cast<int64_t>(logits.size());
  const int64_t n = alternatives < 0 ? size : std::min(alternatives, size);
  if (n == 0) return out;
  row.CollectBest(n, 1, candidates);
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return candidates.score(a) > candidates.score(b); });
  order.resize(std::min(order.size(), static_cast<size_t>(n)));
  for (const size_t i : order) {
    out.top_tokens.push_back(candidates.token(i));
    out.top_logprobs.push_back(static_cast<float>(candidates.score(i) - log_sum));
  }
  return out;
}

struct SequenceSampler::State {
  SamplingParams params;
  int64_t vocab_size = 0;
  std::vector<int32_t> end_tokens;
  std::vector<uint32_t> allowed;  // mask of allowed_token_ids; empty: all
  size_t bad_prefix = 0;          // tokens of the longest bad word but the last one
  std::vector<int32_t> tail;      // the last bad_prefix tokens of prompt and output
  std::vector<int32_t> seen;      // distinct tokens of both; for the repetition penalty
  std::vector<std::pair<int32_t, int32_t>> counts;  // of the output
  absl::flat_hash_map<int32_t, size_t> place;       // token -> in counts
  std::vector<bool> is_seen;                        // by token; empty without a repetition penalty
  uint64_t seed = 0;
  int64_t generated = 0;

  bool counts_output() const {
    return params.presence_penalty != 0 || params.frequency_penalty != 0;
  }
  // As vLLM: so small a temperature is greedy.
  bool greedy() const { return params.temperature < 1e-5; }
  bool bans_ends() const { return generated < params.min_tokens && !end_tokens.empty(); }
  // Whether Adjust changes anything.
  bool adjusts() const {
    return !allowed.empty() || !params.bad_words.empty() || bans_ends() ||
           !params.logit_bias.empty() || params.repetition_penalty != 1 || !counts.empty();
  }

  void See(int32_t token) {
    if (bad_prefix > 0) {
      if (tail.size() == bad_prefix) tail.erase(tail.begin());
      tail.push_back(token);
    }
    if (!is_seen.empty() && !is_seen[token]) {
      is_seen[token] = true;
      seen.push_back(token);
    }
  }

  // The names of what may forbid the next token.
  std::vector<absl::string_view> Constraints(bool has_mask) const {
    std::vector<absl::string_view> out;
    if (has_mask) out.push_back("structured output");
    if (!allowed.empty()) out.push_back("allowed_token_ids");
    if (!params.bad_words.empty()) out.push_back("bad_words");
    if (bans_ends()) out.push_back("min_tokens");
    return out;
  }

  // -1: no logit is finite.
  int32_t Choose(absl::Span<const float> logits) {
    auto& [row, candidates, copy] = ThreadScratch();
    row.Reset(logits);
    if (row.best() == kRemoved) return -1;
    const auto t = static_cast<float>(params.temperature);
    if (greedy() || !std::isfinite(row.best() / t)) return row.ArgMax();
    // The n-th token of a sequence takes the n-th number of its stream, however the others came about.
    const double uniform = Uniform(seed, static_cast<uint64_t>(generated));
    const bool filters = params.top_p < 1 || params.min_p > 0 || params.typical_p < 1 ||
                         (params.top_k > 0 && params.top_k < vocab_size);
    if (!filters) {
      row.Sum(t);
      return row.Draw(t, uniform);
    }
    Filter(params, vocab_size, row, candidates);
    return candidates.Draw(uniform);
  }
};

SequenceSampler::SequenceSampler(const SamplingParams& params, absl::Span<const int32_t> prompt,
                                 std::vector<int32_t> end_tokens, int64_t vocab_size)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.params = params;
  state.vocab_size = vocab_size;
  state.end_tokens = std::move(end_tokens);
  state.seed = params.seed.has_value() ? static_cast<uint64_t>(*params.seed) : RandomSeed();
  if (params.repetition_penalty != 1) state.is_seen.resize(static_cast<size_t>(vocab_size));
  if (!params.allowed_token_ids.empty()) {
    state.allowed.resize(static_cast<size_t>((vocab_size + 31) / 32));
    for (const int32_t token : params.allowed_token_ids)
      state.allowed[token / 32] |= 1u << (token % 32);
  }
  // A bad word that is an end token is left alone, as in transformers: generation could not end.
  std::erase_if(state.params.bad_words, [&](const std::vector<int32_t>& word) {
    const std::vector<int32_t>& ends = state.end_tokens;
    return word.size() == 1 && std::find(ends.begin(), ends.end(), word[0]) != ends.end();
  });
  for (const std::vector<int32_t>& word : state.params.bad_words)
    state.bad_prefix = std::max(state.bad_prefix, word.size() - 1);
  state.tail.reserve(state.bad_prefix);
  for (const int32_t token : prompt) state.See(token);
}

SequenceSampler::SequenceSampler(const SequenceSampler& other)
    : state_(std::make_unique<State>(*other.state_)) {}
SequenceSampler::SequenceSampler(SequenceSampler&&) noexcept = default;
SequenceSampler::~SequenceSampler() = default;

void SequenceSampler::SetSeed(uint64_t seed) { state_->seed = seed; }

void SequenceSampler::Observe(int32_t token) {
  State& state = *state_;
  ++state.generated;
  state.See(token);
  if (!state.counts_output()) return;
  const auto [it, fresh] = state.place.try_emplace(token, state.counts.size());
  if (fresh) state.counts.emplace_back(token, 0);
  ++state.counts[it->second].second;
}

void SequenceSampler::Adjust(absl::Span<float> scores, absl::Span<const uint32_t> allowed) const {
  const State& s = *state_;
  const SamplingParams& p = s.params;
  if (!allowed.empty()) KeepMasked(scores, allowed);
  if (!s.allowed.empty()) KeepMasked(scores, s.allowed);
  if (!p.bad_words.empty()) RemoveBadWords(scores, p.bad_words, s.tail);
  if (s.bans_ends()) RemoveTokens(scores, s.end_tokens);
  AddBias(scores, p.logit_bias);
  if (p.repetition_penalty != 1) PenalizeRepetition(scores, s.seen, p.repetition_penalty);
  PenalizePresence(scores, s.counts, p.presence_penalty, p.frequency_penalty);
}

void SequenceSampler::Process(absl::Span<float> logits, absl::Span<const uint32_t> allowed) const {
  Adjust(logits, allowed);
  if (state_->greedy()) return;
  auto& [row, candidates, copy] = ThreadScratch();
  row.Reset(logits);
  candidates.Clear();
  if (std::isfinite(row.best() / static_cast<float>(state_->params.temperature)))
    Filter(state_->params, static_cast<int64_t>(logits.size()), row, candidates);
  std::fill(logits.begin(), logits.end(), kRemoved);
  for (size_t i = 0; i < candidates.size(); ++i) logits[candidates.token(i)] = candidates.score(i);
}

absl::StatusOr<SampledToken> SequenceSampler::Sample(absl::Span<float> logits,
                                                     absl::Span<const uint32_t> allowed,
                                                     bool keep_logits) {
  State& state = *state_;
  const bool reports = state.params.logprobs.has_value();
  absl::Span<float> scores = logits;
  if (state.adjusts() || !allowed.empty()) {
    if (keep_logits || reports) {
      std::vector<float>& copy = ThreadScratch().copy;
      copy.assign(logits.begin(), logits.end());
      scores = absl::MakeSpan(copy);
    }
    Adjust(scores, allowed);
  }
  SampledToken out;
  out.token = state.Choose(scores);
  if (out.token < 0) return WhyNoChoice(scores, !allowed.empty());
  if (reports) out = ReportLogprobs(logits, out.token, *state.params.logprobs);
  Observe(out.token);
  return out;
}

bool SequenceSampler::is_constrained() const { return !state_->Constraints(false).empty(); }

absl::Status SequenceSampler::CheckChoice(absl::Span<const uint32_t> allowed) const {
  if (allowed.empty() && !is_constrained()) return absl::OkStatus();
  std::vector<float> scores(static_cast<size_t>(state_->vocab_size), 0);
  Adjust(absl::MakeSpan(scores), allowed);
  Row row;
  row.Reset(scores);
  return row.best() == kRemoved ? WhyNoChoice(scores, !allowed.empty()) : absl::OkStatus();
}

absl::Status SequenceSampler::WhyNoChoice(absl::Span<const float> scores, bool has_mask) const {
  const std::vector<absl::string_view> constraints = state_->Constraints(has_mask);
  const bool all_removed =
      std::all_of(scores.begin(), scores.end(), [](float x) { return x == kRemoved; });
  if (constraints.empty() || !all_removed) {
    return absl::DataLossError(
        absl::StrCat("the model's logits for token ", state_->generated + 1,
                     " of the answer hold no finite number (all are NaN or infinite): its weights "
                     "or its configuration are damaged"));
  }
  const absl::string_view leave = constraints.size() == 1 ? " leaves" : " together leave";
  return absl::InvalidArgumentError(absl::StrCat(absl::StrJoin(constraints, " and "), leave,
                                                 " no token to choose as token ",
                                                 state_->generated + 1, " of the answer; loosen ",
                                                 constraints.size() == 1 ? "it" : "one of them"));
}

}  // namespace keel

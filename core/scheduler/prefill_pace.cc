#include "core/scheduler/prefill_pace.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace keel {
namespace {

constexpr int32_t kFirst = 32;          // tokens where nothing is known of what they cost
constexpr int kStepsBetweenLooks = 64;  // with prompts, until the decodes' cost is looked at again
constexpr double kMostGrowth = 1.1;     // of the decodes' cost, with each step that shows it
constexpr double kDeviations = 2;
constexpr double kFar = 3;          // deviations; a step counts as if it was no farther off
constexpr double kLeastFar = 0.25;  // ... and so much of what was expected at least
constexpr double kRate = 0.5;       // of what a step is off
constexpr int32_t kMostLeap = 4;    // times the tokens of the last steps; beyond, nobody knows

}  // namespace

// What steps begin with weighs little, so that as long as all have as many tokens it goes to their account.
PrefillPace::Parts PrefillPace::PartsOf(int32_t prompt_tokens, double context) {
  const double tokens = static_cast<double>(prompt_tokens) / 32;
  return {0.25, tokens, tokens * context / 1024};
}

double PrefillPace::PromptCost(const Parts& parts) const {
  return costs_[0] * parts[0] + costs_[1] * parts[1] + costs_[2] * parts[2];
}

// Of about as many tokens.
bool PrefillPace::IsLikeLast(int32_t decode_tokens) const {
  return decode_tokens_ > 0 && 2 * std::abs(decode_tokens - decode_tokens_) <= decode_tokens_;
}

// And lately.
bool PrefillPace::Knows(int32_t decode_tokens) const {
  return IsLikeLast(decode_tokens) && steps_since_ < kStepsBetweenLooks;
}

// At least: fewer tokens cost no less than their part, more no less than fewer.
double PrefillPace::DecodeCost(int32_t decode_tokens) const {
  return decode_cost_ * std::min(1.0, static_cast<double>(decode_tokens) / decode_tokens_);
}

void PrefillPace::Begin(int32_t prompt_tokens, double took) {
  costs_ = {0, took / PartsOf(prompt_tokens, 0)[1], 0};
  deviation_ = 0.5;
}

int32_t PrefillPace::Tokens(int32_t decode_tokens, double prompts_a_decode, double context) const {
  if (max_slowdown_ == 0) return kNoBound;
  // Not twice in a row: with drafts the decodes are others in every step.
  if (decode_tokens_ == 0 || (steps_since_ > 0 && !Knows(decode_tokens))) return 0;
  if (costs_ == Parts()) return kFirst;
  const double shares = std::clamp(prompts_a_decode, 1.0, kMostShares);
  const double time =
      DecodeCost(decode_tokens) * (max_slowdown_ - 1) * shares / (1 + kDeviations * deviation_);
  const double begun = PromptCost(PartsOf(0, 0));
  const double token = PromptCost(PartsOf(1, context)) - begun;
  const int32_t most = std::max(kFirst, kMostLeap * tried_);
  return static_cast<int32_t>(
      std::clamp<double>((time - begun) / std::max(token, 1.0), kLeast, most));
}

int64_t PrefillPace::Spare(int32_t decode_tokens) const {
  if (max_slowdown_ == 0) return std::numeric_limits<int64_t>::max();
  if (decode_tokens_ == 0) return 0;
  return static_cast<int64_t>(DecodeCost(decode_tokens) * (max_slowdown_ - 1));
}

void PrefillPace::DecodesTook(int32_t decode_tokens, double took) {
  if (!IsLikeLast(decode_tokens)) {
    decode_cost_ = took;
  } else {
    const double known = DecodeCost(decode_tokens);
    const double now = Knows(decode_tokens) ? known + (took - known) / 4 : took;
    decode_cost_ = std::min(now, kMostGrowth * known);
  }
  decode_tokens_ = decode_tokens;
  steps_since_ = 0;
}

void PrefillPace::StepTook(int32_t decode_tokens, int32_t prompt_tokens, double context,
                           int64_t nanoseconds) {
  const auto took = static_cast<double>(nanoseconds);
  if (prompt_tokens == 0) return DecodesTook(decode_tokens, took);
  if (decode_tokens == 0) {
    // Its tokens bear alone what others share with decodes: better than nothing.
    if (costs_ == Parts()) Begin(prompt_tokens, took);
    return;
  }
  ++steps_since_;
  if (decode_tokens_ == 0) return;
  const double cost = std::max(took - DecodeCost(decode_tokens), 1.0);
  if (costs_ == Parts()) Begin(prompt_tokens, cost);
  // A prompt's last tokens may be few.
  tried_ = std::clamp(prompt_tokens, tried_ / 2, kNoBound / kMostLeap);
  const Parts parts = PartsOf(prompt_tokens, context);
  const double expected = PromptCost(parts);
  const double far = std::max(kFar * deviation_, kLeastFar) * expected;
  const double off = std::clamp(cost - expected, -far, far);
  deviation_ += (std::abs(off) / expected - deviation_) / 4;
  const double square = parts[0] * parts[0] + parts[1] * parts[1] + parts[2] * parts[2];
  for (size_t i = 0; i < parts.size(); ++i) {
    costs_[i] = std::max(costs_[i] + kRate * off * parts[i] / square, 0.0);
  }
}

}  // namespace keel

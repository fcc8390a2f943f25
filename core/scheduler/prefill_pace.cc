#include "core/scheduler/prefill_pace.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace keel {
namespace {

constexpr int32_t kFirst = 32;          // tokens where nothing is known of what they cost
constexpr int kStepsBetweenLooks = 64;  // with prompts, until the decodes' cost is looked at again
constexpr int kStepsWhileSlow = 16;     // ... where they take longer than they did
constexpr double kMostGrowth = 1.1;     // of the decodes' cost, with each step that shows it
constexpr double kLeastAway = 0.25;     // of a step: farther off, it is looked at again at once
constexpr double kDeviations = 2;
constexpr double kFar = 3;              // deviations; a step counts as if it was no farther off
constexpr double kLeastFar = 0.25;      // ... and so much of what was expected at least
constexpr double kRate = 0.5;           // of what a step is off
constexpr double kLeastPart = 1.0 / 8;  // of a step is its prompts', even if decodes took it all
constexpr int32_t kMostLeap = 4;        // times the tokens of the last steps; beyond, nobody knows

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
  const int steps = slowness_ > 1 ? kStepsWhileSlow : kStepsBetweenLooks;
  return IsLikeLast(decode_tokens) && !look_ && steps_since_ < steps;
}

// At least: fewer tokens cost no less than their part, more no less than fewer.
double PrefillPace::DecodeCost(int32_t decode_tokens) const {
  return decode_cost_ * std::min(1.0, static_cast<double>(decode_tokens) / decode_tokens_);
}

// For what comes beside the decodes, as long as it would take if the machine were not slow.
double PrefillPace::TimeLeft(int32_t decode_tokens) const {
  return DecodeCost(decode_tokens) * std::max(max_slowdown_ / slowness_ - 1, 0.0);
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
  const double time = TimeLeft(decode_tokens) * shares / (1 + kDeviations * deviation_);
  const double begun = PromptCost(PartsOf(0, 0));
  const double token = PromptCost(PartsOf(1, context)) - begun;
  const int32_t most = std::max(kFirst, kMostLeap * tried_);
  return static_cast<int32_t>(
      std::clamp<double>((time - begun) / std::max(token, 1.0), kLeast, most));
}

int64_t PrefillPace::Spare(int32_t decode_tokens) const {
  if (max_slowdown_ == 0) return std::numeric_limits<int64_t>::max();
  if (decode_tokens_ == 0) return 0;
  return static_cast<int64_t>(TimeLeft(decode_tokens));
}

void PrefillPace::DecodesTook(int32_t decode_tokens, double took) {
  if (!IsLikeLast(decode_tokens)) {
    decode_cost_ = took;
    slowness_ = 1;
  } else {
    const double known = DecodeCost(decode_tokens);
    const double now = Knows(decode_tokens) ? known + (took - known) / 4 : took;
    decode_cost_ = std::min(now, kMostGrowth * known);
    // More of them may well take more.
    const double most = known * std::max(1.0, static_cast<double>(decode_tokens) / decode_tokens_);
    slowness_ = took > (1 + kLeastAway) * most ? took / most : 1;
  }
  decode_tokens_ = decode_tokens;
  steps_since_ = 0;
  look_ = false;
}

void PrefillPace::StepTook(int32_t decode_tokens, int32_t prompt_tokens, double context,
                           int64_t nanoseconds) {
  const double took = static_cast<double>(nanoseconds) / slowness_;
  if (prompt_tokens == 0) return DecodesTook(decode_tokens, static_cast<double>(nanoseconds));
  if (decode_tokens == 0) {
    // Its tokens bear alone what others share with decodes: better than nothing, and the cheapest
    // are the nearest to what they will cost.
    const bool is_untried = tried_ == 0 && took < PromptCost(PartsOf(prompt_tokens, 0));
    if (costs_ == Parts() || is_untried) Begin(prompt_tokens, took);
    return;
  }
  ++steps_since_;
  if (decode_tokens_ == 0) return;
  const double decodes = DecodeCost(decode_tokens);
  const double cost = std::max(took - decodes, kLeastPart * took);
  const bool is_first = costs_ == Parts();
  if (is_first) Begin(prompt_tokens, cost);
  // A prompt's last tokens may be few.
  tried_ = std::clamp(prompt_tokens, tried_ / 2, kNoBound / kMostLeap);
  const Parts parts = PartsOf(prompt_tokens, context);
  const double expected = PromptCost(parts);
  const double far = std::max(kFar * deviation_, kLeastFar) * expected;
  look_ = !is_first &&
          std::abs(took - decodes - expected) > std::max(far, kLeastAway * (decodes + expected));
  const double off = std::clamp(cost - expected, -std::min(far, expected / 2), far);
  deviation_ += (std::abs(off) / expected - deviation_) / 4;
  const double square = parts[0] * parts[0] + parts[1] * parts[1] + parts[2] * parts[2];
  for (size_t i = 0; i < parts.size(); ++i) {
    costs_[i] = std::max(costs_[i] + kRate * off * parts[i] / square, 0.0);
  }
}

}  // namespace keel

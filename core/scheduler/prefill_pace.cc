#include "core/scheduler/prefill_pace.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace keel {
namespace {

constexpr int32_t kFirst = 32;          // tokens where nothing is known of what they cost
constexpr int kStepsBetweenLooks = 64;  // with prompts, until the decodes' cost is looked at again
constexpr double kDeviations = 2;

}  // namespace

// Of about as many tokens, and lately.
bool PrefillPace::Knows(int32_t decode_tokens) const {
  return decode_tokens_ > 0 && steps_since_ < kStepsBetweenLooks &&
         2 * std::abs(decode_tokens - decode_tokens_) <= decode_tokens_;
}

// At least: fewer tokens cost no less than their part, more no less than fewer.
double PrefillPace::DecodeCost(int32_t decode_tokens) const {
  return decode_cost_ * std::min(1.0, static_cast<double>(decode_tokens) / decode_tokens_);
}

void PrefillPace::Begin(double token_cost) {
  token_cost_ = token_cost;
  deviation_ = token_cost / 2;
}

int32_t PrefillPace::Tokens(int32_t decode_tokens, double prompts_a_decode) const {
  if (max_slowdown_ == 0) return kNoBound;
  // Not twice in a row: with drafts the decodes are others in every step.
  if (decode_tokens_ == 0 || (steps_since_ > 0 && !Knows(decode_tokens))) return 0;
  if (token_cost_ == 0) return kFirst;
  const double shares = std::clamp(prompts_a_decode, 1.0, kMostShares);
  const double tokens = DecodeCost(decode_tokens) * (max_slowdown_ - 1) * shares /
                        (token_cost_ + kDeviations * deviation_);
  return static_cast<int32_t>(std::clamp<double>(tokens, kLeast, kNoBound));
}

int64_t PrefillPace::Spare(int32_t decode_tokens) const {
  if (max_slowdown_ == 0) return std::numeric_limits<int64_t>::max();
  if (decode_tokens_ == 0) return 0;
  return static_cast<int64_t>(DecodeCost(decode_tokens) * (max_slowdown_ - 1));
}

void PrefillPace::StepTook(int32_t decode_tokens, int32_t prompt_tokens, int64_t nanoseconds) {
  const auto took = static_cast<double>(nanoseconds);
  if (prompt_tokens == 0) {
    const double known = Knows(decode_tokens) ? DecodeCost(decode_tokens) : took;
    decode_cost_ = known + (std::min(took, 2 * known) - known) / 4;
    decode_tokens_ = decode_tokens;
    steps_since_ = 0;
    return;
  }
  if (decode_tokens == 0) {
    // Its tokens bear alone what others share with decodes: better than nothing.
    if (token_cost_ == 0) Begin(took / prompt_tokens);
    return;
  }
  ++steps_since_;
  if (decode_tokens_ == 0) return;
  double cost = (took - DecodeCost(decode_tokens)) / prompt_tokens;
  if (token_cost_ == 0) Begin(std::max(cost, 1.0));
  // One step that something else has disturbed does not count for all; upwards it goes faster.
  cost = std::clamp(cost, token_cost_ / 2, token_cost_ * 4);
  deviation_ += (std::abs(cost - token_cost_) - deviation_) / 4;
  token_cost_ += (cost - token_cost_) / (cost > token_cost_ ? 2 : 4);
}

}  // namespace keel

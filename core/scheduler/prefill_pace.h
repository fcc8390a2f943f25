// How many tokens of prompts a step may take beside decodes, so that who decodes waits at most about so many times as
// long for a token as without them. It knows what steps took because it is told: no clock.
#ifndef KEEL_CORE_SCHEDULER_PREFILL_PACE_H_
#define KEEL_CORE_SCHEDULER_PREFILL_PACE_H_

#include <array>
#include <cstdint>
#include <limits>

namespace keel {

// Of a step with prompts beside decodes it takes what the decodes alone would cost as known, from
// steps without prompts. The rest is
//
//   begun + tokens * (token + context * pair)
//
// where `context` tokens lie before a prompt's token: prompts cost something however short their
// part is, and a token costs the more the longer the text before it is. The three are learned from
// every step, by normalized least mean squares (Widrow and Hoff, 1960). What it is not sure of it
// takes for dear: a step comes out short rather than long. How sure it is it knows as TCP knows when
// an answer is late (Jacobson and Karels, "Congestion avoidance and control", 1988), by the mean
// deviation, so that it is most of the steps that stay within the bound, not half of them.
//
// A step that is far off may mean three things. Something wanted the processor once: it counts for
// little. Or prompts cost something else: others will follow. Or the machine is slow for a while,
// and decodes are, too: the bound stays what decodes cost before, and prompts get what is left. To
// tell, the step after it is one without prompts.
class PrefillPace {
 public:
  static constexpr int32_t kNoBound = std::numeric_limits<int32_t>::max();
  // However dear they are: a prompt goes on, and its tokens share the reading of the weights with the decodes.
  static constexpr int32_t kLeast = 8;
  // Where more prompts wait than sequences decode, prompts take so many times their share at most: else those who wait
  // would pay for those who are served.
  static constexpr double kMostShares = 4;

  // `max_slowdown` > 1, or 0: no bound.
  explicit PrefillPace(double max_slowdown) : max_slowdown_(max_slowdown) {}

  // Tokens of prompts, with `context` before them, for a step of `decode_tokens`, which is at least 1, where so many
  // prompts come to a sequence that decodes. 0: a step without prompts is due, to learn what it costs.
  int32_t Tokens(int32_t decode_tokens, double prompts_a_decode, double context) const;

  // Nanoseconds that may be added to a step of decodes, all in all; 0: it is not known what they take. max(): no bound.
  int64_t Spare(int32_t decode_tokens) const;

  // A step of so many tokens took so long; `context` lay before one of a prompt, on average.
  void StepTook(int32_t decode_tokens, int32_t prompt_tokens, double context, int64_t nanoseconds);

 private:
  // begun, token and pair, or what each of them is multiplied with, in units that make them alike.
  using Parts = std::array<double, 3>;
  static Parts PartsOf(int32_t prompt_tokens, double context);

  bool IsLikeLast(int32_t decode_tokens) const;
  bool Knows(int32_t decode_tokens) const;
  double DecodeCost(int32_t decode_tokens) const;
  double TimeLeft(int32_t decode_tokens) const;
  void DecodesTook(int32_t decode_tokens, double took);
  double PromptCost(const Parts& parts) const;
  void Begin(int32_t prompt_tokens, double took);

  const double max_slowdown_;
  // The last steps without prompts; 0 tokens: there was none.
  int32_t decode_tokens_ = 0;
  double decode_cost_ = 0;  // nanoseconds
  int steps_since_ = 0;     // with prompts
  double slowness_ = 1;     // times decode_cost_ that the last one took, if it was far longer
  bool look_ = false;       // the last one with prompts was far off
  // Nanoseconds; all 0: nothing is known.
  Parts costs_ = {};
  double deviation_ = 0;  // how far from it steps mostly are, as a part of it
  int32_t tried_ = 0;     // tokens of prompts in the last steps with decodes
};

}  // namespace keel
#endif  // KEEL_CORE_SCHEDULER_PREFILL_PACE_H_

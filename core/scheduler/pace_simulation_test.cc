// A long prompt beside streams that decode, on a machine whose steps take what one was measured to take (2 cores,
// 135 million parameters): 23 ms for 16 streams and more as their texts grow, 4.7 with a prompt, and for each of its
// tokens 0.1 ms and 0.175 for each 1024 tokens before it.
#include <algorithm>
#include <memory>
#include <vector>

#include "core/scheduler/scheduler.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

// What else happens on it.
struct Disturbance {
  int every = 0;     // steps; 0: nothing does
  double ms = 0;     // that such a step takes longer
  int half_for = 0;  // steps from such a one on in which another thread has half of the processors
};

class Machine {
 public:
  explicit Machine(const Disturbance& disturbance) : disturbance_(disturbance) {}

  // Milliseconds, without what disturbs it.
  static double Cost(const Step& step) {
    double ms = 23;
    for (const Step::Item& item : step.items) {
      const double context = item.sequence->num_computed + item.num_tokens / 2.0;
      const bool is_prompt = item.num_tokens > 1;
      ms += is_prompt ? 4.7 + item.num_tokens * (0.1 + 0.175 * context / 1024) : 0.00125 * context;
    }
    return ms;
  }

  // In truth: a tenth more or less, and what disturbs it.
  double Took(double ms) {
    random_ = random_ * 1664525 + 1013904223;
    ms *= 0.95 + 0.1 * (random_ >> 8) / (1 << 24);
    if (disturbance_.every == 0) return ms;
    const int since = ++steps_ % disturbance_.every;
    if (since < disturbance_.half_for) ms *= 2;
    return since == 0 ? ms + disturbance_.ms : ms;
  }

 private:
  const Disturbance disturbance_;
  int steps_ = 0;
  uint32_t random_ = 1;
};

struct Outcome {
  int steps = 0;                // that the prompt took
  double median = 0, most = 0;  // of what a step costs, times the decodes in it alone
  int longer = 0;               // those that took more than 3 times the latter
};

Outcome RunLongPrompt(const Disturbance& disturbance) {
  BlockAllocator blocks(
      {.block_size = 16, .prefix_caching = false, .groups = {{4096}}, .num_state_slots = 0});
  Scheduler scheduler({.max_num_seqs = 32, .max_decode_slowdown = 2}, blocks);
  Machine machine(disturbance);
  std::vector<std::unique_ptr<Sequence>> sequences;
  const auto add = [&](size_t size) {
    sequences.push_back(std::make_unique<Sequence>());
    sequences.back()->tokens.assign(size, 1);
    sequences.back()->prompt_tokens = static_cast<int32_t>(size);
    scheduler.Add(sequences.back().get());
  };
  const auto run = [&](const Step& step) {
    const double ms = machine.Took(Machine::Cost(step));
    scheduler.StepTook(step, static_cast<int64_t>(ms * 1e6));
    scheduler.Advance(step);
    for (const Step::Item& item : step.items) {
      if (item.reaches_end) item.sequence->tokens.push_back(1);
    }
    return ms;
  };
  for (int i = 0; i < 16; ++i) add(128);
  for (int i = 0; i < 60; ++i) run(scheduler.Schedule());
  add(4000);
  const Sequence& prompt = *sequences.back();
  Outcome outcome;
  std::vector<double> slowdowns;
  while (prompt.size() == 4000) {
    Step step = scheduler.Schedule();
    const double all = Machine::Cost(step);
    Step decodes = step;
    std::erase_if(decodes.items, [](const Step::Item& item) { return item.num_tokens > 1; });
    slowdowns.push_back(all / Machine::Cost(decodes));
    if (run(step) > 3 * Machine::Cost(decodes)) ++outcome.longer;
  }
  std::sort(slowdowns.begin(), slowdowns.end());
  outcome.steps = static_cast<int>(slowdowns.size());
  outcome.median = slowdowns[slowdowns.size() / 2];
  outcome.most = slowdowns.back();
  return outcome;
}

TEST(PaceSimulationTest, StepsStayWithinTheSlowdownAndTakeMostOfIt) {
  const Outcome outcome = RunLongPrompt({});
  EXPECT_LE(outcome.most, 2.1);
  EXPECT_GE(outcome.median, 1.7);
  EXPECT_LE(outcome.steps, 130);
}

// What is disturbed costs the prompt little, and the streams nothing more.
TEST(PaceSimulationTest, StepsThatAreDisturbedDoNotSetThePace) {
  const Outcome outcome = RunLongPrompt({.every = 20, .ms = 50});
  EXPECT_LE(outcome.most, 2.2);
  EXPECT_GE(outcome.median, 1.5);
  EXPECT_LE(outcome.steps, 170);
}

// As where memory is taken in the background. The first step of it is a surprise, those that follow
// take few tokens, and the first that is quick again is followed by as many as before.
TEST(PaceSimulationTest, PromptsTakeLittleWhileTheMachineIsSlowAndNoLonger) {
  const Outcome outcome = RunLongPrompt({.every = 80, .half_for = 10});
  EXPECT_LE(outcome.longer, 2);  // slow twice meanwhile
  EXPECT_GE(outcome.median, 1.7);
  EXPECT_LE(outcome.steps, 120);
}

}  // namespace
}  // namespace keel

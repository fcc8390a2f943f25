// Prefill through layers that carry a state, with the sizes of Mamba-2 1.3B and of Qwen3-Next: microseconds a token, the
// best of some rounds.
//
//   bazel run -c opt //core/kernels:recurrence_bench [-- TOKENS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/cpu.h"
#include "core/kernels/parallel.h"
#include "core/kernels/recurrence.h"

namespace keel {
namespace {

std::vector<float> Numbers(int64_t count, float scale) {
  std::vector<float> numbers(static_cast<size_t>(count));
  uint32_t state = 1;
  for (float& number : numbers) {
    state = state * 1664525 + 1013904223;
    number = scale * (static_cast<float>(state >> 8) / (1 << 23) - 1);
  }
  return numbers;
}

void Measure(const char* name, int64_t tokens, absl::FunctionRef<void()> run) {
  double best = 1e9;
  for (int round = 0; round < 7; ++round) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / static_cast<double>(tokens));
  }
  std::printf("%-12s %7.2f us a token\n", name, best);
}

void MeasureStateSpace(int64_t tokens) {
  constexpr int64_t kHeads = 64, kSize = 64, kStates = 128;
  std::vector<float> state(kHeads * kSize * kStates);
  const auto x = Numbers(tokens * kHeads * kSize, 1), dt = Numbers(tokens * kHeads, 1);
  const auto a = Numbers(kHeads, 1), b = Numbers(tokens * kStates, 1);
  const auto c = Numbers(tokens * kStates, 1);
  std::vector<float> y(x.size());
  StateSpace space;
  space.x = x.data(), space.dt = dt.data(), space.a = a.data(), space.b = b.data();
  space.c = c.data(), space.y = y.data(), space.dt_max = 0.1f;
  space.heads = kHeads, space.size = kSize, space.groups = 1, space.state_size = kStates;
  const RecurrentSequence sequence = {0, tokens, state.data()};
  Measure("state space", tokens, [&] { RunStateSpace(space, {&sequence, 1}); });
}

void MeasureDeltaRule(const char* name, int64_t tokens, bool by_key, bool has_beta) {
  constexpr int64_t kHeads = 32, kGroups = 16, kSize = 128;
  std::vector<float> state(kHeads * kSize * kSize);
  const auto q = Numbers(tokens * kGroups * kSize, 0.1f);
  const auto k = Numbers(tokens * kGroups * kSize, 0.1f), v = Numbers(tokens * kHeads * kSize, 1);
  auto g = Numbers(tokens * kHeads * (by_key ? kSize : 1), 0.5f),
       beta = Numbers(tokens * kHeads, 1);
  for (float& decay : g) decay -= 0.5f;
  std::vector<float> y(v.size());
  DeltaRule rule;
  rule.q = q.data(), rule.k = k.data(), rule.v = v.data(), rule.g = g.data();
  rule.beta = has_beta ? beta.data() : nullptr, rule.y = y.data();
  rule.heads = kHeads, rule.groups = kGroups, rule.key_size = rule.value_size = kSize;
  rule.by_key = by_key;
  const RecurrentSequence sequence = {0, tokens, state.data()};
  Measure(name, tokens, [&] { RunDeltaRule(rule, {&sequence, 1}); });
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  const int64_t tokens = argc > 1 ? std::atoi(argv[1]) : 256;
  std::printf("%s, %d threads, %d tokens\n", keel::ToString(keel::Cpu()).c_str(),
              keel::ParallelThreads(), static_cast<int>(tokens));
  keel::MeasureStateSpace(tokens);
  keel::MeasureDeltaRule("delta", tokens, false, true);
  keel::MeasureDeltaRule("delta by key", tokens, true, true);
  keel::MeasureDeltaRule("linear", tokens, false, false);
}

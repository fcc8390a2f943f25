// Samples a step of 64 sequences over a vocabulary of 151,936 with each kind of parameters and
// prints milliseconds of the best round: for rows as a language model makes them (few likely tokens)
// and for normal ones (thousands), which are the worst case of the filters.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/parallel.h"
#include "core/sampling/sample_all.h"

namespace keel {
namespace {

constexpr int64_t kRows = 64, kVocab = 151936;
constexpr int kRounds = 9;

std::vector<float> NormalRows(float deviation) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(kRows * kVocab);
  for (float& x : out) x = normal(random);
  return out;
}

// The r-th best of a thousand likely tokens stands at 25 - 2.5 ln(r + 1) over normal noise.
std::vector<float> ModelRows() {
  std::vector<float> out = NormalRows(2);
  std::mt19937 random(2);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int r = 0; r < 1000; ++r)
      out[row * kVocab + random() % kVocab] = 25 - 2.5f * std::log(1.0f + static_cast<float>(r));
  }
  return out;
}

double Milliseconds(const SamplingParams& params, const std::vector<float>& rows,
                    absl::Span<const uint32_t> allowed) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 1000; ++i) prompt.push_back(i * 97 % kVocab);
  std::vector<SequenceSampler> samplers;
  for (int64_t row = 0; row < kRows; ++row) {
    samplers.emplace_back(params, prompt, std::vector<int32_t>{7}, kVocab);
    for (int32_t i = 0; i < 200; ++i) samplers.back().Observe(i * 31);
  }
  double best = 1e9;
  std::vector<float> logits(rows.size());
  std::vector<SampleJob> jobs;
  for (int64_t row = 0; row < kRows; ++row) {
    jobs.push_back({&samplers[row],
                    absl::MakeSpan(logits).subspan(row * kVocab, kVocab),
                    {},
                    allowed,
                    false,
                    {}});
  }
  for (int round = 0; round < kRounds; ++round) {
    std::copy(rows.begin(), rows.end(), logits.begin());
    const auto start = std::chrono::steady_clock::now();
    SampleAll(absl::MakeSpan(jobs));
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  return best;
}

void MeasureAll() {
  const std::vector<float> model = ModelRows(), normal = NormalRows(3);
  std::vector<uint32_t> mask(kVocab / 32);
  std::mt19937 random(3);
  for (uint32_t& word : mask) word = random() & random() & random();
  const auto measure = [&](const char* name, const SamplingParams& params,
                           absl::Span<const uint32_t> allowed = {}) {
    std::printf("%-24s %10.2f %10.2f\n", name, Milliseconds(params, model, allowed),
                Milliseconds(params, normal, allowed));
  };
  std::printf("%ld rows of %ld logits, %d threads, %s\n%-24s %10s %10s\n", kRows, kVocab,
              ParallelThreads(), ToString(Cpu()).c_str(), "ms", "model", "normal");
  SamplingParams greedy;
  greedy.temperature = 0;
  measure("greedy", greedy);
  SamplingParams base;
  base.temperature = 0.8;
  base.seed = 1;
  measure("temperature", base);
  SamplingParams p = base;
  p.top_k = 50;
  measure("top_k", p);
  p.top_p = 0.9;
  measure("top_k, top_p", p);
  p = base;
  p.top_p = 0.9;
  measure("top_p", p);
  p = base;
  p.min_p = 0.05;
  measure("min_p", p);
  p = base;
  p.typical_p = 0.9;
  measure("typical_p", p);
  p = greedy;
  p.repetition_penalty = 1.1;
  p.presence_penalty = p.frequency_penalty = 0.5;
  p.logit_bias = {{5, 1}, {6, -1}};
  p.bad_words = {{5, 6}, {31, 8}};
  p.min_tokens = 1000;
  measure("greedy, all penalties", p);
  p = greedy;
  p.logprobs = 5;
  measure("greedy, logprobs", p);
  measure("greedy, mask", greedy, mask);
}

}  // namespace
}  // namespace keel

int main() { keel::MeasureAll(); }

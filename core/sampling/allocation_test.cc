// Counts what sampling allocates once it is warm.
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "core/kernels/parallel.h"
#include "core/sampling/sample_all.h"
#include "gtest/gtest.h"

namespace {
std::atomic<int64_t> allocations = 0;
}  // namespace

// Not inlined: GCC would see malloc and free behind new and delete and call them mismatched.
__attribute__((noinline)) void* operator new(size_t size) {
  ++allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace keel {
namespace {

constexpr int32_t kVocab = 700;

std::vector<SamplingParams> VariedParams() {
  std::vector<SamplingParams> all(10);
  all[0].temperature = 0;
  all[2].top_k = 5;
  all[3].top_k = 300, all[3].top_p = 0.9;
  all[4].top_p = 0.8;
  all[5].min_p = 0.1;
  all[6].typical_p = 0.7;
  all[7].repetition_penalty = 1.3, all[7].frequency_penalty = 0.3, all[7].presence_penalty = 0.1;
  all[8].bad_words = {{5}, {6, 7}, {1, 2, 3}}, all[8].min_tokens = 100000;
  all[9].allowed_token_ids = {1, 5, 80, 600, 601}, all[9].logit_bias = {{1, 2}};
  for (size_t i = 0; i < all.size(); ++i) all[i].seed = static_cast<int64_t>(i);
  return all;
}

TEST(AllocationTest, AWarmSamplerAllocatesNothing) {
  std::vector<int32_t> vocabulary(kVocab);
  for (int32_t i = 0; i < kVocab; ++i) vocabulary[i] = i;
  std::vector<SequenceSampler> samplers;
  for (const SamplingParams& params : VariedParams()) {
    samplers.emplace_back(params, vocabulary, std::vector<int32_t>{7}, kVocab);
    // What a sequence knows of its own tokens grows with them; here it knows all.
    for (const int32_t token : vocabulary) samplers.back().Observe(token);
  }
  const std::vector<uint32_t> mask((kVocab + 31) / 32, 0xffff0ff7);
  const std::vector<int32_t> drafts = {1, 2};
  std::vector<float> logits(samplers.size() * 3 * kVocab);
  std::vector<SampleJob> jobs;
  for (size_t i = 0; i < samplers.size(); ++i) {
    jobs.push_back({&samplers[i],
                    absl::MakeSpan(logits).subspan(i * 3 * kVocab, 3 * kVocab),
                    drafts,
                    {},
                    i % 2 == 0,
                    {}});
  }
  const auto sample = [&](int step) {
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>(std::sin(static_cast<double>(i * (step % 7 + 1))));
    SampleAll(absl::MakeSpan(jobs));
    for (SequenceSampler& sampler : samplers)
      sampler.Sample(absl::MakeSpan(logits).first(kVocab), mask, /*keep_logits=*/true).value();
  };
  // Which thread takes which job is chance: each has to be warm for all of them. Nobody is done with
  // his piece before all have come, so none takes a second in the place of a thread that is late.
  absl::Mutex one_at_a_time;
  int to_come = ParallelThreads();
  ParallelFor(to_come, 1, [&](int64_t, int64_t) {
    absl::MutexLock lock(&one_at_a_time);
    --to_come;
    one_at_a_time.Await(absl::Condition(
        +[](int* left) { return *left == 0; }, &to_come));
    for (int step = 0; step < 14; ++step) sample(step);
  });
  sample(0);
  const int64_t before = allocations;
  for (int step = 0; step < 40; ++step) sample(step);
  EXPECT_EQ(allocations - before, 0);
}

}  // namespace
}  // namespace keel

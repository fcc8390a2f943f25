#include "core/sampling/sample_all.h"

#include <cmath>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAreArray;

constexpr int32_t kVocab = 600;

// The logits of a tiny language model: a function of the last token.
void LogitsAfter(int32_t token, absl::Span<float> out) {
  std::mt19937 random(static_cast<uint32_t>(token) + 1);
  for (float& x : out) x = 4.0f * static_cast<float>(random() % 1000) / 1000.0f;
}

std::vector<SamplingParams> VariedParams() {
  std::vector<SamplingParams> all(8);
  all[0].temperature = 0;
  all[2].top_k = 20;
  all[3].top_p = 0.8;
  all[4].min_p = 0.3;
  all[5].typical_p = 0.7;
  all[6].repetition_penalty = 1.3, all[6].frequency_penalty = 0.3;
  all[7].logprobs = 2, all[7].bad_words = {{5}, {6, 7}};
  for (size_t i = 0; i < all.size(); ++i) all[i].seed = static_cast<int64_t>(i);
  return all;
}

// The text that a sampler writes with the model, one token a step.
std::vector<int32_t> TextOf(SequenceSampler sampler, size_t length) {
  std::vector<int32_t> text = {0};
  std::vector<float> logits(kVocab);
  while (text.size() < length) {
    LogitsAfter(text.back(), absl::MakeSpan(logits));
    text.push_back(sampler.Sample(absl::MakeSpan(logits))->token);
  }
  return text;
}

// The same with drafts, each right with a chance of `right` per cent; counts the steps.
std::vector<int32_t> DraftedText(SequenceSampler sampler, size_t length, uint32_t right,
                                 int* steps) {
  const std::vector<int32_t> truth = TextOf(sampler, length + 8);
  std::mt19937 random(5);
  std::vector<int32_t> text = {0};
  for (*steps = 0; text.size() < length; ++*steps) {
    std::vector<int32_t> drafts(random() % 5);
    for (size_t i = 0; i < drafts.size(); ++i) {
      drafts[i] = truth[text.size() + i];
      if (random() % 100 >= right) drafts[i] = (drafts[i] + 1) % kVocab;
    }
    std::vector<float> logits((drafts.size() + 1) * kVocab);
    for (size_t i = 0; i <= drafts.size(); ++i) {
      LogitsAfter(i == 0 ? text.back() : drafts[i - 1],
                  absl::MakeSpan(logits).subspan(i * kVocab, kVocab));
    }
    SampleJob job{&sampler, absl::MakeSpan(logits), drafts, {}, false, {}};
    SampleAll(absl::MakeSpan(&job, 1));
    // Accepted exactly as far as the drafts are right.
    size_t accepted = 0;
    while (accepted < drafts.size() && drafts[accepted] == truth[text.size() + accepted])
      ++accepted;
    EXPECT_EQ(job.tokens.size(), accepted + 1);
    for (const SampledToken& token : job.tokens) text.push_back(token.token);
  }
  text.resize(length);
  return text;
}

TEST(SampleAllTest, DraftsChangeTheStepsAndNotTheText) {
  for (const SamplingParams& params : VariedParams()) {
    SCOPED_TRACE(*params.seed);
    const SequenceSampler sampler(params, {}, {}, kVocab);
    const std::vector<int32_t> text = TextOf(sampler, 100);
    int all_right, some_right, none_right;
    EXPECT_EQ(DraftedText(sampler, 100, 100, &all_right), text);
    EXPECT_EQ(DraftedText(sampler, 100, 60, &some_right), text);
    EXPECT_EQ(DraftedText(sampler, 100, 0, &none_right), text);
    EXPECT_LT(all_right, some_right);
    EXPECT_LT(some_right, none_right);
    EXPECT_EQ(none_right, 99);
  }
}

TEST(SampleAllTest, EqualsOneByOneWhateverElseIsInTheBatch) {
  constexpr size_t kJobs = 40;
  const std::vector<SamplingParams> params = VariedParams();
  std::vector<SequenceSampler> together, alone;
  for (size_t i = 0; i < kJobs; ++i) {
    together.emplace_back(params[i % params.size()], absl::Span<const int32_t>{1, 2, 3},
                          std::vector<int32_t>{}, kVocab);
    alone.push_back(together.back());
  }
  std::vector<uint32_t> mask((kVocab + 31) / 32, 0x10f0f0f0);
  for (int32_t step = 0; step < 10; ++step) {
    std::vector<std::vector<float>> rows(kJobs, std::vector<float>(kVocab));
    std::vector<SampleJob> jobs;
    for (size_t i = 0; i < kJobs; ++i) {
      LogitsAfter(static_cast<int32_t>(i) * 10 + step, absl::MakeSpan(rows[i]));
      jobs.push_back({&together[i], absl::MakeSpan(rows[i]), {}, {}, false, {}});
      if (i % 3 == 0) jobs.back().allowed = mask;
    }
    std::vector<std::vector<float>> copies = rows;
    SampleAll(absl::MakeSpan(jobs));
    for (size_t i = 0; i < kJobs; ++i) {
      const SampledToken token =
          alone[i].Sample(absl::MakeSpan(copies[i]), jobs[i].allowed).value();
      ASSERT_EQ(jobs[i].tokens.size(), 1);
      EXPECT_EQ(jobs[i].tokens[0].token, token.token) << "job " << i;
      EXPECT_EQ(jobs[i].tokens[0].logprob, token.logprob) << "job " << i;
      EXPECT_THAT(jobs[i].tokens[0].top_tokens, ElementsAreArray(token.top_tokens));
    }
  }
}

TEST(SampleAllTest, JobsThatShareRowsSeeThemUnchanged) {
  constexpr size_t kJobs = 16;
  SamplingParams params;
  std::vector<SequenceSampler> samplers;
  for (size_t i = 0; i < kJobs; ++i) {
    params.logit_bias = {{static_cast<int32_t>(i), 100}};
    samplers.emplace_back(params, absl::Span<const int32_t>(), std::vector<int32_t>(), kVocab);
  }
  std::vector<float> row(kVocab);
  LogitsAfter(1, absl::MakeSpan(row));
  const std::vector<float> before = row;
  std::vector<SampleJob> jobs;
  for (SequenceSampler& sampler : samplers)
    jobs.push_back({&sampler, absl::MakeSpan(row), {}, {}, true, {}});
  SampleAll(absl::MakeSpan(jobs));
  for (size_t i = 0; i < kJobs; ++i) EXPECT_EQ(jobs[i].tokens[0].token, static_cast<int32_t>(i));
  EXPECT_EQ(row, before);
}

// Chi-square of what follows token 0, with 5 kinds of tokens: 18.5 has a chance of 0.1 % with 4 degrees of freedom.
TEST(SampleAllTest, DrawsFollowTheProbabilitiesWithAndWithoutDrafts) {
  const std::vector<double> probabilities = {0.05, 0.1, 0.2, 0.25, 0.4};
  constexpr int kDraws = 20000;
  for (const bool drafted : {false, true}) {
    SamplingParams params;
    params.seed = 11;
    SequenceSampler sampler(params, {}, {}, 5);
    std::vector<double> first(5), second(5);
    double seconds = 0;
    const std::vector<int32_t> drafts = {3};
    for (int i = 0; i < kDraws; ++i) {
      std::vector<float> logits;
      for (int row = 0; row < (drafted ? 2 : 1); ++row) {
        for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
      }
      SampleJob job{&sampler, absl::MakeSpan(logits), {}, {}, false, {}};
      if (drafted) job.drafts = drafts;
      SampleAll(absl::MakeSpan(&job, 1));
      first[job.tokens[0].token] += 1;
      if (job.tokens.size() < 2) continue;
      second[job.tokens[1].token] += 1;
      seconds += 1;
    }
    const auto chi_square = [&](const std::vector<double>& counts, double n) {
      double sum = 0;
      for (size_t i = 0; i < counts.size(); ++i)
        sum += std::pow(counts[i] - n * probabilities[i], 2) / (n * probabilities[i]);
      return sum;
    };
    EXPECT_LT(chi_square(first, kDraws), 18.5);
    if (!drafted) continue;
    EXPECT_NEAR(seconds, 0.25 * kDraws, 250);
    EXPECT_LT(chi_square(second, seconds), 18.5);
  }
}

TEST(SampleAllTest, DraftsHoldUntilARowGivesNothing) {
  SamplingParams params;
  params.temperature = 0;
  SequenceSampler sampler(params, {}, {}, 3);
  std::vector<float> logits = {0, 1, 0, NAN, NAN, NAN};
  const std::vector<int32_t> drafts = {1};
  std::vector<SampleJob> jobs = {{&sampler, absl::MakeSpan(logits), drafts, {}, false, {}}};
  SampleAll(absl::MakeSpan(jobs));
  ASSERT_EQ(jobs[0].tokens.size(), 1u);
  EXPECT_EQ(jobs[0].tokens[0].token, 1);
  EXPECT_EQ(jobs[0].status.code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace keel

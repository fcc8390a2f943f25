#include "core/sampling/sampler.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/status_matchers.h"
#include "core/sampling/beam_candidates.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SamplerTest, LogprobsAreALogSoftmaxOfTheRawLogitsBestFirst) {
  const std::vector<float> logits = {1, 3, 2, 3};
  const SampledToken token = ReportLogprobs(logits, 2, 3);
  const double sum = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0);
  EXPECT_NEAR(token.logprob, 2 - std::log(sum), 1e-6);
  EXPECT_THAT(token.top_tokens, ElementsAre(1, 3, 2));
}

std::vector<int32_t> Tokens(SequenceSampler sampler, int n) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) {
    std::vector<float> logits(50);
    for (size_t j = 0; j < logits.size(); ++j)
      logits[j] = static_cast<float>(std::sin(static_cast<double>(j * (i + 1))));
    out.push_back(sampler.Sample(absl::MakeSpan(logits))->token);
  }
  return out;
}

TEST(SamplerTest, ASeedIsAStreamAndACopyGoesOnWithIt) {
  SamplingParams params;
  params.seed = 7;
  const SequenceSampler sampler(params, {}, {}, 50);
  EXPECT_EQ(Tokens(sampler, 30), Tokens(sampler, 30));
  params.seed = 8;
  EXPECT_NE(Tokens(sampler, 30), Tokens(SequenceSampler(params, {}, {}, 50), 30));
}

TEST(SamplerTest, DrawsInProportionToTheProbabilities) {
  SamplingParams params;
  params.seed = 1;
  SequenceSampler sampler(params, {}, {}, 3);
  int counts[3] = {};
  for (int i = 0; i < 30000; ++i) {
    std::vector<float> logits = {std::log(1.0f), std::log(2.0f), std::log(3.0f)};
    ++counts[sampler.Sample(absl::MakeSpan(logits))->token];
  }
  EXPECT_NEAR(counts[0], 5000, 300);
  EXPECT_NEAR(counts[1], 10000, 300);
  EXPECT_NEAR(counts[2], 15000, 300);
}

TEST(SamplerTest, GreedyTakesTheLowestIdAmongTheBest) {
  SamplingParams params;
  params.temperature = 0;
  SequenceSampler sampler(params, {}, {}, 4);
  std::vector<float> logits = {1, 5, 2, 5};
  EXPECT_EQ(sampler.Sample(absl::MakeSpan(logits))->token, 1);
}

TEST(SamplerTest, PenaltiesAreOfTheOutputAndABiasIsAdded) {
  SamplingParams params;
  params.presence_penalty = 0.5;
  params.frequency_penalty = 0.25;
  params.logit_bias = {{0, 10}, {3, -1}};
  SequenceSampler sampler(params, {0, 0, 1}, {}, 5);
  for (const int32_t token : {1, 2, 2, 2}) sampler.Observe(token);
  std::vector<float> logits = {1, 2, 3, 4, 5};
  sampler.Process(absl::MakeSpan(logits));
  EXPECT_THAT(logits, ElementsAre(11, 2 - 0.75f, 3 - 1.25f, 3, 5));
}

TEST(SamplerTest, ACopyIsIndependent) {
  SamplingParams params;
  params.seed = 3;
  params.repetition_penalty = 1.5;
  params.frequency_penalty = 0.5;
  params.bad_words = {{1, 2}};
  SequenceSampler sampler(params, {1}, {}, 50);
  SequenceSampler fork = sampler;
  EXPECT_EQ(Tokens(fork, 30), Tokens(sampler, 30));
  std::vector<float> before(50, 1.0f), after(50, 1.0f);
  sampler.Process(absl::MakeSpan(before));
  for (const int32_t token : {1, 7, 7, 1}) fork.Observe(token);
  sampler.Process(absl::MakeSpan(after));
  EXPECT_EQ(before, after);
}

TEST(SamplerTest, ACopyWithItsOwnSeedGoesItsOwnWay) {
  SamplingParams params;
  params.seed = 3;
  const SequenceSampler sampler(params, {}, {}, 50);
  SequenceSampler fork = sampler, same = sampler;
  fork.SetSeed(4);
  same.SetSeed(3);
  EXPECT_NE(Tokens(fork, 30), Tokens(sampler, 30));
  EXPECT_EQ(Tokens(same, 30), Tokens(sampler, 30));
}

TEST(SamplerTest, KeepsTheLogitsWhereAsked) {
  SamplingParams params;
  params.logit_bias = {{2, 50}};
  SequenceSampler sampler(params, {}, {}, 40);
  std::vector<float> logits(40);
  std::iota(logits.begin(), logits.end(), 0.0f);
  const std::vector<float> copy = logits;
  EXPECT_EQ(sampler.Sample(absl::MakeSpan(logits), {}, /*keep_logits=*/true)->token, 2);
  EXPECT_EQ(logits, copy);
}

TEST(SamplerTest, LogprobsAreOfTheLogitsBeforeAnyChange) {
  SamplingParams params;
  params.temperature = 0;
  params.logprobs = 2;
  params.logit_bias = {{0, 50}};
  SequenceSampler sampler(params, {}, {}, 3);
  std::vector<float> logits = {1, 3, 2};
  const SampledToken token = sampler.Sample(absl::MakeSpan(logits)).value();
  EXPECT_EQ(token.token, 0);
  EXPECT_NEAR(token.logprob, 1 - std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)), 1e-6);
  EXPECT_THAT(token.top_tokens, ElementsAre(1, 2));
}

// Whatever the parameters: a token is drawn from what is finite, and a row without it is an error.
TEST(SamplerTest, NanAndInfinityAreNeverChosen) {
  const float inf = INFINITY;
  std::vector<SamplingParams> all(8);
  all[0].temperature = 0;
  all[2].top_k = 2;
  all[3].top_p = 0.5;
  all[4].min_p = 0.5;
  all[5].typical_p = 0.5;
  all[6].temperature = 1e-4;
  all[7].logprobs = 3;
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    all[i].seed = 1;
    SequenceSampler sampler(all[i], {}, {}, 600);
    std::vector<float> one(600, NAN), none(600, -inf), infinite(600, inf);
    for (size_t j = 0; j < 600; j += 2) one[j] = j % 4 == 0 ? inf : -inf;
    one[301] = -5;
    none[7] = NAN, none[8] = inf;
    EXPECT_EQ(sampler.Sample(absl::MakeSpan(one))->token, 301);
    EXPECT_THAT(sampler.Sample(absl::MakeSpan(none)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("hold no finite number")));
    EXPECT_THAT(sampler.Sample(absl::MakeSpan(infinite)), StatusIs(absl::StatusCode::kDataLoss, _));
    std::vector<float> large = {3e38f, -3e38f, 3.2e38f};
    EXPECT_NE(sampler.Sample(absl::MakeSpan(large))->token, 1);
  }
}

TEST(SamplerTest, ARowGivesATokenIfAnyLogitIsFinite) {
  for (const double temperature : {0.0, 1.0}) {
    SamplingParams params;
    params.temperature = temperature;
    SequenceSampler sampler(params, {}, {}, 3);
    std::vector<float> nan = {NAN, 2, NAN}, none = {-INFINITY, -INFINITY, NAN};
    EXPECT_EQ(sampler.Sample(absl::MakeSpan(nan))->token, 1);
    EXPECT_THAT(sampler.Sample(absl::MakeSpan(none)), StatusIs(absl::StatusCode::kDataLoss, _));
  }
}

TEST(SamplerTest, AMaskLeavesItsTokensOnly) {
  SamplingParams params;
  params.temperature = 0;
  SequenceSampler sampler(params, {}, {}, 40);
  std::vector<float> logits(40);
  std::iota(logits.begin(), logits.end(), 0.0f);
  const std::vector<uint32_t> mask = {1u << 5, 1u << 2};
  EXPECT_EQ(sampler.Sample(absl::MakeSpan(logits), mask)->token, 34);
}

TEST(SamplingParamsTest, NamesTheParameterAndItsRange) {
  SamplingParams params;
  params.top_p = 1.5;
  EXPECT_THAT(CheckSamplingParams(params, 10),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "top_p is 1.5, expected more than 0, at most 1"));
  params.top_p = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(CheckSamplingParams(params, 10).ok());
  params = {};
  params.logit_bias = {{12, 1}};
  EXPECT_THAT(CheckSamplingParams(params, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                                        HasSubstr("token id 12, expected 0 to 9")));
}

TEST(SamplerTest, ConstraintsThatLeaveNoTokenAreNamedAndNothingIsChosen) {
  const std::vector<uint32_t> only_1 = {0b0010}, only_3 = {0b1000};
  const auto expect = [&](const SamplingParams& params, const std::vector<uint32_t>& mask,
                          const std::string& names) {
    SequenceSampler sampler(params, {}, /*end_tokens=*/{3}, 4);
    for (const bool keep : {true, false}) {
      std::vector<float> logits = {1, 2, 3, 4};
      EXPECT_THAT(sampler.Sample(absl::MakeSpan(logits), mask, keep),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           HasSubstr(names + " together leave no token to choose as token 1")));
    }
    EXPECT_THAT(sampler.CheckChoice(mask), StatusIs(absl::StatusCode::kInvalidArgument, _));
    std::vector<float> logits = {1, 2, 3, 4};
    EXPECT_THAT(BeamCandidates(sampler, absl::MakeSpan(logits), 4, mask),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(names)));
  };
  for (const double temperature : {0.0, 1.0}) {
    SamplingParams params;
    params.temperature = temperature;
    params.allowed_token_ids = {1};
    expect(params, only_3, "structured output and allowed_token_ids");
    params.bad_words = {{1}};
    expect(params, {}, "allowed_token_ids and bad_words");
    params.allowed_token_ids = {};
    expect(params, only_1, "structured output and bad_words");
    params.bad_words = {};
    params.min_tokens = 2;
    expect(params, only_3, "structured output and min_tokens");
    params.allowed_token_ids = {3};
    expect(params, {}, "allowed_token_ids and min_tokens");
    params.allowed_token_ids = {};
    params.bad_words = {{0}, {1}, {2}};
    expect(params, {}, "bad_words and min_tokens");
  }
}

TEST(SamplerTest, ConstraintsMayLeaveNoTokenLaterOnly) {
  SamplingParams params;
  params.temperature = 0;
  params.allowed_token_ids = {1};
  params.bad_words = {{1, 1}};
  SequenceSampler sampler(params, {}, {}, 4);
  KEEL_EXPECT_OK(sampler.CheckChoice());
  std::vector<float> logits = {1, 2, 3, 4};
  EXPECT_EQ(sampler.Sample(absl::MakeSpan(logits))->token, 1);
  logits = {1, 2, 3, 4};
  EXPECT_THAT(sampler.Sample(absl::MakeSpan(logits)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("as token 2 of the answer")));
}

TEST(SamplerTest, LogitsThatAreNoNumbersAreNotTakenForConstraints) {
  SamplingParams params;
  params.allowed_token_ids = {1, 2};
  SequenceSampler sampler(params, {}, {}, 4);
  std::vector<float> logits(4, NAN);
  EXPECT_THAT(sampler.Sample(absl::MakeSpan(logits)), StatusIs(absl::StatusCode::kDataLoss, _));
  logits.assign(4, NAN);
  EXPECT_THAT(BeamCandidates(sampler, absl::MakeSpan(logits), 2),
              StatusIs(absl::StatusCode::kDataLoss, _));
}

}  // namespace
}  // namespace keel

#include "core/engine/model_runner.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/engine/running_request.h"
#include "core/engine/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::FakeExecutor;
using ::keel::testing::Letter;
using ::keel::testing::Letters;
using ::keel::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int32_t kVocab = 403;

class ModelRunnerTest : public ::testing::Test {
 protected:
  ModelRunnerTest()
      : executor_(kVocab, 4, testing::SayAlphabet),
        blocks_({.block_size = 4, .prefix_caching = true, .groups = {{64}}, .num_state_slots = 0}),
        scheduler_({.max_num_seqs = 8, .max_num_batched_tokens = 64}, blocks_),
        runner_(executor_, kVocab) {
    EXPECT_TRUE(executor_.AllocateCache({64}, 0).ok());
  }

  // A greedy sequence, scheduled.
  RunningSequence& Add(const std::string& prompt, SamplingParams params = {}) {
    params.temperature = 0;
    auto& request = requests_.emplace_back(std::make_unique<RunningRequest>());
    auto sequence = std::make_unique<RunningSequence>(
        request.get(), SequenceSampler(params, Letters(prompt), {testing::kEnd}, kVocab), nullptr);
    sequence->tokens = Letters(prompt);
    sequence->prompt_tokens = static_cast<int32_t>(prompt.size());
    scheduler_.Add(sequence.get());
    request->sequences.push_back(std::move(sequence));
    return *request->sequences[0];
  }

  absl::StatusOr<absl::Span<Sampled>> Run() {
    const Step step = scheduler_.Schedule();
    StepTimer timer(nullptr);
    auto sampled = runner_.Run(step, timer);
    if (sampled.ok()) scheduler_.Advance(step);
    return sampled;
  }

  FakeExecutor executor_;
  BlockAllocator blocks_;
  Scheduler scheduler_;
  std::vector<std::unique_ptr<RunningRequest>> requests_;
  ModelRunner runner_;
};

std::vector<int32_t> Tokens(const Sampled& sampled) {
  std::vector<int32_t> out;
  for (const SampledToken& token : sampled.tokens) out.push_back(token.token);
  return out;
}

TEST_F(ModelRunnerTest, GivesOneResultForEachSequenceInTheOrderOfTheStep) {
  RunningSequence& a = Add("abc");
  RunningSequence& b = Add("mn");
  const auto sampled = Run();
  KEEL_ASSERT_OK(sampled.status());
  ASSERT_THAT(*sampled, SizeIs(2));
  EXPECT_EQ((*sampled)[0].sequence, &a);
  EXPECT_EQ((*sampled)[1].sequence, &b);
  EXPECT_THAT(Tokens((*sampled)[0]), ElementsAre(Letter('d')));
  EXPECT_THAT(Tokens((*sampled)[1]), ElementsAre(Letter('o')));
}

TEST_F(ModelRunnerTest, APartOfAPromptGivesNothingYet) {
  Add("abcdefgh").max_chunk = 5;
  EXPECT_THAT(*Run(), SizeIs(0));
  const auto sampled = Run();
  ASSERT_THAT(*sampled, SizeIs(1));
  EXPECT_THAT(Tokens((*sampled)[0]), ElementsAre(Letter('i')));
}

TEST_F(ModelRunnerTest, VerifiesDraftsAndTakesTheWrongOnesAway) {
  RunningSequence& sequence = Add("abc");
  KEEL_ASSERT_OK(Run().status());
  for (const char c : {'d', 'e', 'f', 'q'}) sequence.tokens.push_back(Letter(c));
  sequence.num_drafts = 3;
  const auto sampled = Run();
  const Sampled& result = (*sampled)[0];
  EXPECT_THAT(Tokens(result), ElementsAre(Letter('e'), Letter('f'), Letter('g')));
  EXPECT_EQ(result.num_drafts, 3);
  EXPECT_EQ(result.num_accepted, 2);
  EXPECT_EQ(sequence.tokens, Letters("abcdef"));
  EXPECT_EQ(sequence.num_drafts, 0);
  EXPECT_EQ(sequence.num_computed, 6);
}

TEST_F(ModelRunnerTest, ThoseThatBranchOffDrawFromTheSameLogits) {
  RunningSequence& sequence = Add("abc");
  sequence.fork_seeds = {5, 6, 7};
  const auto sampled = Run();
  ASSERT_THAT((*sampled)[0].forks, SizeIs(3));
  for (const Sampled::Fork& fork : (*sampled)[0].forks) EXPECT_EQ(fork.token.token, Letter('d'));
}

TEST_F(ModelRunnerTest, ABeamGetsItsBestContinuations) {
  Add("abc").num_candidates = 3;
  const auto sampled = Run();
  const Sampled& result = (*sampled)[0];
  EXPECT_THAT(result.tokens, SizeIs(0));
  ASSERT_THAT(result.candidates, SizeIs(3));
  EXPECT_EQ(result.candidates[0].first, Letter('d'));
  EXPECT_EQ(result.candidates[2].first, Letter('f'));
  EXPECT_NEAR(result.candidates[1].second, -10, 1e-3);
}

TEST_F(ModelRunnerTest, ReportsThePromptWhereItIsAsked) {
  RunningSequence& sequence = Add("abd");
  sequence.request->request.sampling.prompt_logprobs = 1;
  sequence.reads_prefix_cache = false;
  KEEL_ASSERT_OK(Run().status());
  ASSERT_THAT(sequence.prompt_logprobs, SizeIs(2));
  EXPECT_EQ(sequence.prompt_logprobs[0].token, Letter('b'));
  EXPECT_NEAR(sequence.prompt_logprobs[0].logprob, 0, 1e-3);
  EXPECT_NEAR(sequence.prompt_logprobs[1].logprob, -10, 1e-3);
  EXPECT_THAT(sequence.prompt_logprobs[1].top_tokens, ElementsAre(Letter('c')));
}

TEST_F(ModelRunnerTest, ASequenceThatMayNotGoOnSaysWhyAndTheOthersDraw) {
  SamplingParams params;
  params.allowed_token_ids = {Letter('x')};
  params.bad_words = {{Letter('x')}};
  Add("abc", params).fork_seeds = {1};
  Add("abc", params).num_candidates = 2;
  Add("mn");
  const auto sampled = Run();
  for (const size_t i : {0, 1}) {
    EXPECT_THAT((*sampled)[i].status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("together leave no token")));
  }
  EXPECT_THAT((*sampled)[0].forks, SizeIs(0));
  EXPECT_THAT(Tokens((*sampled)[2]), ElementsAre(Letter('o')));
}

TEST_F(ModelRunnerTest, WhatAGrammarSaysIsTheResultOfItsSequence) {
  Add("abc").mask_status = absl::ResourceExhaustedError("too deep");
  Add("mn");
  const auto sampled = Run();
  EXPECT_THAT((*sampled)[0].status, StatusIs(absl::StatusCode::kResourceExhausted, _));
  EXPECT_THAT((*sampled)[0].tokens, SizeIs(0));
  EXPECT_THAT(Tokens((*sampled)[1]), ElementsAre(Letter('o')));
}

TEST_F(ModelRunnerTest, AnErrorOfTheExecutorIsThatOfTheStep) {
  Add("abc");
  executor_.FailOnce(absl::InternalError("no memory"));
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kInternal, HasSubstr("no memory")));
}

}  // namespace
}  // namespace keel

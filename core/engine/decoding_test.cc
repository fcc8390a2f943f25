// The decodings over a scheduler, with results of steps made by hand.
#include "core/engine/decoding.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/engine/beam_decoding.h"
#include "core/engine/draft_decoding.h"
#include "core/engine/ending.h"
#include "core/engine/plain_decoding.h"
#include "core/engine/testing.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Letter;
using ::keel::testing::Letters;
using ::keel::testing::StatusIs;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

SequenceSampler Sampler() { return SequenceSampler({}, {}, {}, 403); }

class DecodingTest : public ::testing::Test {
 protected:
  DecodingTest()
      : blocks_({.block_size = 4, .prefix_caching = true, .groups = {{64}}, .num_state_slots = 0}),
        scheduler_({.max_num_seqs = 8, .max_num_batched_tokens = 64}, blocks_) {
    request_.id = 7;
    request_.max_tokens = 8;
    request_.end_token_ids = {testing::kEnd};
  }

  // The sequence of a prompt, scheduled.
  RunningSequence& Begin(std::unique_ptr<Decoding> decoding, const std::string& prompt) {
    request_.decoding = std::move(decoding);
    auto channel = std::make_shared<OutputChannel>();
    IncrementalDetokenizer detokenizer(testing::TestTokenizer("qwen"));
    auto sequence = std::make_unique<RunningSequence>(
        &request_, Sampler(), std::make_shared<OutputStream>(channel, detokenizer));
    sequence->tokens = Letters(prompt);
    sequence->prompt_tokens = static_cast<int32_t>(prompt.size());
    scheduler_.Add(sequence.get());
    request_.sequences.push_back(std::move(sequence));
    return *request_.sequences[0];
  }

  // One step: each sequence that it computes to its end gets what `sample` says.
  template <typename Sample>
  void RunStep(const Sample& sample) {
    events_.clear();
    const Step step = scheduler_.Schedule();
    std::vector<Sampled> all;
    for (const Step::Item& item : step.items) {
      Sampled sampled;
      sampled.sequence = item.sequence->running;
      sample(sampled);
      RunningSequence& sequence = *sampled.sequence;
      sampled.num_drafts = std::exchange(sequence.num_drafts, 0);
      sampled.num_accepted = std::max(0, static_cast<int32_t>(sampled.tokens.size()) - 1);
      sequence.tokens.resize(sequence.tokens.size() -
                             static_cast<size_t>(sampled.num_drafts - sampled.num_accepted));
      all.push_back(std::move(sampled));
    }
    scheduler_.Advance(step);
    for (Sampled& sampled : all) request_.decoding->Take(sampled, context_);
    request_.decoding->Propose(request_, context_);
    KEEL_EXPECT_OK(scheduler_.CheckIntegrity());
  }

  static void Say(Sampled& sampled, const std::string& text) {
    for (const char c : text) sampled.tokens.push_back({Letter(c), -1, {}, {}});
  }

  BlockAllocator blocks_;
  Scheduler scheduler_;
  Metrics metrics_{"m"};
  std::vector<OutputEvent> events_;
  std::vector<uint64_t> ended_;
  DecodingContext context_ = {scheduler_, metrics_, nullptr, events_, ended_};
  RunningRequest request_;
};

TEST_F(DecodingTest, PlainGivesEachTokenAndEndsAtTheEndToken) {
  RunningSequence& sequence = Begin(std::make_unique<PlainDecoding>(), "ab");
  RunStep([](Sampled& s) { Say(s, "c"); });
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_THAT(events_[0].tokens, ElementsAre(Letter('c')));
  EXPECT_EQ(sequence.tokens, Letters("abc"));
  RunStep([](Sampled& s) { s.tokens.push_back({testing::kEnd, -1, {}, {}}); });
  EXPECT_EQ(events_[0].end->reason, FinishReason::kStop);
  EXPECT_TRUE(events_[0].silent_end);
  EXPECT_TRUE(events_[0].end->is_last);
  EXPECT_THAT(ended_, ElementsAre(7));
  EXPECT_TRUE(scheduler_.empty());
}

TEST_F(DecodingTest, PlainBranchesOffWhereThePromptEnds) {
  Begin(std::make_unique<PlainDecoding>(), "abcde").fork_seeds = {1, 2};
  RunStep([](Sampled& s) {
    Say(s, "x");
    s.forks.push_back({Sampler(), {Letter('y'), -1, {}, {}}});
    s.forks.push_back({Sampler(), {testing::kEnd, -1, {}, {}}});
  });
  ASSERT_EQ(request_.sequences.size(), 3u);
  EXPECT_EQ(request_.sequences[0]->tokens, Letters("abcdex"));
  EXPECT_EQ(request_.sequences[1]->tokens, Letters("abcdey"));
  EXPECT_EQ(request_.sequences[1]->num_computed, 5);  // its prompt is shared
  EXPECT_TRUE(request_.sequences[2]->finished);
  EXPECT_FALSE(events_[2].end->is_last);
  EXPECT_EQ(events_[1].stream->index, 1u);
  EXPECT_EQ(scheduler_.num_running(), 2u);
}

TEST_F(DecodingTest, AnEndFinishesEachSequenceOnce) {
  Begin(std::make_unique<PlainDecoding>(), "ab").fork_seeds = {1};
  RunStep([](Sampled& s) {
    Say(s, "x");
    s.forks.push_back({Sampler(), {testing::kEnd, -1, {}, {}}});
  });
  events_.clear();
  request_.decoding->End(request_, FinishReason::kAbort, absl::OkStatus(), context_);
  request_.decoding->End(request_, FinishReason::kAbort, absl::OkStatus(), context_);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_TRUE(events_[0].end->is_last);
  EXPECT_THAT(ended_, ElementsAre(7));
}

TEST_F(DecodingTest, ResultsOfASequenceThatHasFinishedAreIgnored) {
  RunningSequence& sequence = Begin(std::make_unique<PlainDecoding>(), "ab");
  request_.decoding->End(request_, FinishReason::kAbort, absl::OkStatus(), context_);
  events_.clear();
  Sampled late;
  late.sequence = &sequence;
  Say(late, "c");
  request_.decoding->Take(late, context_);
  EXPECT_THAT(events_, IsEmpty());
}

TEST_F(DecodingTest, ATokenThatCanNotBeChosenFinishesItsSequenceAlone) {
  Begin(std::make_unique<PlainDecoding>(), "ab").fork_seeds = {1};
  RunStep([](Sampled& s) {
    Say(s, "x");
    s.forks.push_back({Sampler(), {Letter('y'), -1, {}, {}}});
  });
  RunStep([](Sampled& s) {
    if (s.sequence->index == 0) s.status = absl::InvalidArgumentError("nothing is allowed");
    if (s.sequence->index == 1) Say(s, "z");
  });
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_THAT(events_[0].end->status, StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_FALSE(events_[1].end.has_value());
  EXPECT_EQ(metrics_.corrupted_requests.Value(), 0);
}

TEST_F(DecodingTest, LogitsThatAreNoNumbersFinishAllSequencesAndCountOnce) {
  Begin(std::make_unique<PlainDecoding>(), "ab").fork_seeds = {1};
  RunStep([](Sampled& s) {
    Say(s, "x");
    s.forks.push_back({Sampler(), {Letter('y'), -1, {}, {}}});
  });
  RunStep([](Sampled& s) { s.status = absl::DataLossError("NaN"); });
  EXPECT_EQ(events_.size(), 2u);
  EXPECT_EQ(metrics_.corrupted_requests.Value(), 1);
  EXPECT_THAT(ended_, ElementsAre(7));
}

TEST_F(DecodingTest, DraftsAreProposedVerifiedAndCounted) {
  RunningSequence& sequence =
      Begin(std::make_unique<DraftDecoding>(PromptLookupOptions{.num_tokens = 3}), "abcdab");
  RunStep([](Sampled& s) { Say(s, "c"); });
  EXPECT_EQ(sequence.tokens, Letters("abcdabcdab"));
  EXPECT_EQ(sequence.num_drafts, 3);
  RunStep([](Sampled& s) { Say(s, "dx"); });  // the first draft holds
  EXPECT_THAT(events_[0].tokens, ElementsAre(Letter('d'), Letter('x')));
  EXPECT_EQ(sequence.tokens, Letters("abcdabcdx"));
  EXPECT_EQ(metrics_.spec_decode_num_draft_tokens.Value(), 3);
  EXPECT_EQ(metrics_.spec_decode_num_accepted_tokens.Value(), 1);
}

TEST_F(DecodingTest, DraftsStayBelowMaxTokens) {
  request_.max_tokens = 2;
  RunningSequence& sequence =
      Begin(std::make_unique<DraftDecoding>(PromptLookupOptions{.num_tokens = 3}), "abcdab");
  RunStep([](Sampled& s) { Say(s, "c"); });
  EXPECT_EQ(sequence.num_drafts, 0);
}

std::unique_ptr<BeamDecoding> Beams(int64_t width, int64_t max_tokens) {
  return std::make_unique<BeamDecoding>(BeamSearch({.width = width}, {testing::kEnd}, max_tokens));
}

TEST_F(DecodingTest, BeamsGoOnTogetherAndGiveTheBestAtTheEnd) {
  request_.request.n = 2;
  Begin(Beams(2, 2), "ab");
  RunStep([](Sampled& s) { s.candidates = {{Letter('x'), -1}, {Letter('y'), -2}}; });
  EXPECT_THAT(events_, IsEmpty());
  ASSERT_EQ(request_.sequences.size(), 2u);
  EXPECT_EQ(request_.sequences[0]->tokens, Letters("abx"));
  EXPECT_EQ(request_.sequences[1]->tokens, Letters("aby"));
  RunStep([](Sampled& s) {
    s.candidates = {{Letter('z'), s.sequence->index == 0 ? -5.f : -1.f}, {Letter('w'), -9}};
  });
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_THAT(events_[0].tokens, ElementsAre(Letter('y'), Letter('z')));
  EXPECT_THAT(events_[1].tokens, ElementsAre(Letter('x'), Letter('z')));
  EXPECT_FALSE(events_[0].end->is_last);
  EXPECT_TRUE(events_[1].end->is_last);
  EXPECT_THAT(ended_, ElementsAre(7));
  EXPECT_TRUE(scheduler_.empty());
}

TEST_F(DecodingTest, ABeamWithoutCandidatesIsGivenUpAndTheLastOneSaysWhy) {
  Begin(Beams(2, 5), "ab");
  RunStep([](Sampled& s) { s.candidates = {{Letter('x'), -1}, {Letter('y'), -2}}; });
  RunStep([](Sampled& s) {
    if (s.sequence->index == 0) s.status = absl::InvalidArgumentError("dry");
    if (s.sequence->index == 1) s.candidates = {{Letter('z'), -1}};
  });
  EXPECT_THAT(events_, IsEmpty());
  ASSERT_EQ(request_.sequences.size(), 1u);
  EXPECT_EQ(request_.sequences[0]->tokens, Letters("abyz"));
  EXPECT_EQ(scheduler_.num_running(), 1u);
  RunStep([](Sampled& s) { s.status = absl::InvalidArgumentError("dry too"); });
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].end->reason, FinishReason::kError);
  EXPECT_EQ(events_[0].end->status.message(), "dry too");
  EXPECT_TRUE(scheduler_.empty());
}

TEST_F(DecodingTest, ASearchThatIsCutGivesWhatRuns) {
  Begin(Beams(2, 5), "ab");
  RunStep([](Sampled& s) { s.candidates = {{Letter('x'), -1}, {Letter('y'), -2}}; });
  request_.decoding->End(request_, FinishReason::kAbort, absl::OkStatus(), context_);
  ASSERT_EQ(events_.size(), 1u);  // n is 1
  EXPECT_THAT(events_[0].tokens, ElementsAre(Letter('x')));
  EXPECT_EQ(events_[0].end->reason, FinishReason::kAbort);
}

}  // namespace
}  // namespace keel

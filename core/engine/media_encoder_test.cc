#include "core/engine/media_encoder.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <memory>
#include <string>
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
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int32_t kVocab = 403;

// Encodes an item in so many advances, to so many rows of a number, as its inputs say.
class SlowEncoder : public FakeExecutor {
 public:
  SlowEncoder() : FakeExecutor(kVocab, 4, testing::SayAlphabet) {}

  bool EncodesTogether(const std::string&) const override { return together; }

  absl::StatusOr<std::unique_ptr<Encoding>> StartEncoding(
      const std::string& modality, absl::Span<const NamedTensors* const> items) override {
    if (modality == "audio") return absl::UnimplementedError("no encoder of audio");
    calls.push_back(static_cast<int>(items.size()));
    auto run = std::make_unique<Run>();
    for (const NamedTensors* item : items) {
      const std::vector<int64_t>& dims = item->at("pixel_values").dims;
      run->advances = std::max(run->advances, dims[0]);
      run->features.push_back(std::make_shared<const Features>(
          at::full({dims[1], 2}, dims[2], at::TensorOptions().dtype(at::kFloat))));
      if (dims[2] == kBroken) run->status = absl::InternalError("broken pixels");
    }
    return run;
  }

  static constexpr int64_t kBroken = 666;
  bool together = false;
  std::vector<int> calls;  // items of each

 private:
  struct Run : Encoding {
    absl::StatusOr<FeatureList> Advance(absl::Duration) override {
      if (--advances > 0) return FeatureList();
      if (!status.ok()) return status;
      return features;
    }

    int64_t advances = 0;
    FeatureList features;
    absl::Status status;
  };
};

class MediaEncoderTest : public ::testing::Test {
 protected:
  // A prompt of 10 tokens, [2, 5) of them an item that takes so many advances.
  RunningSequence& Add(const std::string& hash, int64_t advances, int64_t rows = 3,
                       const std::string& modality = "image", int64_t value = 0) {
    auto media = std::make_shared<RequestMedia>();
    RequestMedia::Item& item = media->items.emplace_back();
    item.modality = modality;
    item.hash = hash;
    item.inputs["pixel_values"].dims = {advances, rows, value};
    item.span = {2, 5, {{2, 3, 0}}, 3};
    auto& request = requests_.emplace_back(std::make_unique<RunningRequest>());
    request->media = std::move(media);
    auto sequence = std::make_unique<RunningSequence>(
        request.get(), SequenceSampler({}, {}, {testing::kEnd}, kVocab), nullptr);
    sequence->id = requests_.size();
    sequence->tokens.assign(10, 1);
    sequence->prompt_tokens = 10;
    sequence->media.push_back({2, 5, hash});
    request->sequences.push_back(std::move(sequence));
    return *request->sequences[0];
  }

  // One whose features are rows of `value`.
  RunningSequence& AddValue(int64_t value, int64_t advances = 1) {
    return Add(std::to_string(value), advances, 3, "image", value);
  }
  // What a step over all of a prompt would take for its item; -1: it waits, or failed.
  double ValueOf(RunningSequence& sequence) {
    if (encoder_.NumReady(sequence, 0, 10) < 10 || !sequence.media_status.ok()) return -1;
    Step step;
    step.items.push_back({&sequence, 4, false});  // tokens 0 to 3
    Batch batch;
    batch.token_ids.assign(4, 1);
    encoder_.AddMedia(step, batch);
    return batch.features.at(0).features->rows()[0][0].item<double>();
  }

  static constexpr int64_t kMaxTokens = 12;  // of four items
  SlowEncoder executor_;
  MediaEncoder encoder_{executor_, 1 << 20, kMaxTokens};
  std::vector<std::unique_ptr<RunningRequest>> requests_;
};

TEST_F(MediaEncoderTest, TokensBeforeAnItemDoNotWaitAndThoseOfItDo) {
  RunningSequence& sequence = Add("a", 3);
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 2), 2);
  EXPECT_FALSE(encoder_.pending());  // nobody has asked for it
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 10), 2);
  EXPECT_TRUE(encoder_.pending());
  for (int i = 0; i < 2; ++i) {
    encoder_.Advance(absl::ZeroDuration());
    EXPECT_EQ(encoder_.NumReady(sequence, 2, 8), 0) << i;
  }
  encoder_.Advance(absl::ZeroDuration());
  EXPECT_FALSE(encoder_.pending());
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 10), 10);
  EXPECT_EQ(encoder_.NumReady(sequence, 5, 5), 5);
}

TEST_F(MediaEncoderTest, AnItemOfSeveralRequestsIsEncodedOnce) {
  RunningSequence &a = Add("same", 2), &b = Add("same", 2);
  EXPECT_EQ(encoder_.NumReady(a, 0, 10), 2);
  EXPECT_EQ(encoder_.NumReady(b, 0, 10), 2);
  encoder_.Advance(absl::ZeroDuration());
  encoder_.Advance(absl::ZeroDuration());
  EXPECT_EQ(encoder_.NumReady(a, 0, 10), 10);
  EXPECT_EQ(encoder_.NumReady(b, 0, 10), 10);
  EXPECT_EQ(encoder_.NumReady(Add("same", 2), 0, 10), 10);  // from the cache
  EXPECT_EQ(executor_.calls, std::vector{1});
}

TEST_F(MediaEncoderTest, FeaturesThatNoCacheHoldsReachWhoWaits) {
  MediaEncoder encoder(executor_, 0, kMaxTokens);
  RunningSequence& sequence = Add("a", 1);
  EXPECT_EQ(encoder.NumReady(sequence, 0, 10), 2);
  encoder.Advance(absl::ZeroDuration());
  EXPECT_EQ(encoder.NumReady(sequence, 0, 10), 10);

  Step step;
  step.items.push_back({&sequence, 4, false});  // tokens 0 to 3
  step.num_tokens = 4;
  Batch batch;
  batch.token_ids.assign(4, 1);
  encoder.AddMedia(step, batch);
  ASSERT_EQ(batch.features.size(), 1u);
  EXPECT_EQ(batch.features[0].row, 2);
  EXPECT_EQ(batch.features[0].num, 2);
  EXPECT_EQ(batch.features[0].first, 0);
  sequence.num_computed = 4;
  EXPECT_EQ(encoder.NumReady(sequence, 4, 6), 6);  // kept for the rest of the item
  encoder.AddMedia(step, batch);
  sequence.num_computed = 0;
  EXPECT_EQ(encoder.NumReady(sequence, 0, 10), 2);  // preempted, and asked for again
}

TEST_F(MediaEncoderTest, WhatNobodyWaitsForAnyMoreIsDropped) {
  EXPECT_EQ(encoder_.NumReady(Add("gone", 5), 0, 10), 2);
  encoder_.Advance(absl::ZeroDuration());
  requests_.clear();
  RunningSequence& sequence = Add("b", 1);
  EXPECT_FALSE(encoder_.pending());
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 10), 2);
  encoder_.Advance(absl::ZeroDuration());
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 10), 10);
}

TEST_F(MediaEncoderTest, ASequenceWhoseMediaFailWaitsForNothing) {
  RunningSequence &audio = Add("a", 1, 3, "audio"), &few = Add("b", 1, 2), &good = Add("c", 1);
  for (RunningSequence* sequence : {&audio, &few, &good}) {
    EXPECT_EQ(encoder_.NumReady(*sequence, 0, 10), 2);
    encoder_.Advance(absl::ZeroDuration());
    EXPECT_EQ(encoder_.NumReady(*sequence, 0, 10), 10);
  }
  EXPECT_THAT(audio.media_status,
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("audio 0: no encoder")));
  EXPECT_THAT(few.media_status, StatusIs(absl::StatusCode::kInternal,
                                         HasSubstr("gives 2 features, the processor counted 3")));
  EXPECT_NE(few.media[0].hash, "b");  // its blocks are nobody else's
  KEEL_EXPECT_OK(good.media_status);
}

class TogetherTest : public MediaEncoderTest {
 protected:
  TogetherTest() { executor_.together = true; }

  void AskFor(std::initializer_list<RunningSequence*> sequences) {
    for (RunningSequence* sequence : sequences) EXPECT_EQ(encoder_.NumReady(*sequence, 0, 10), 2);
  }
  void AdvanceUntilDone() {
    for (int i = 0; encoder_.pending() && i < 100; ++i) encoder_.Advance(absl::ZeroDuration());
    EXPECT_FALSE(encoder_.pending());
  }
};

TEST_F(TogetherTest, ItemsOfSeveralRequestsAreOneCall) {
  RunningSequence &a = AddValue(1), &b = AddValue(2, 3), &c = AddValue(3), &same = AddValue(1);
  AskFor({&a, &b, &c, &same});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ValueOf(c), -1) << i;
    encoder_.Advance(absl::ZeroDuration());
  }
  EXPECT_EQ(executor_.calls, std::vector{3});
  EXPECT_EQ(encoder_.num_calls(), 1);
  EXPECT_EQ(ValueOf(a), 1);
  EXPECT_EQ(ValueOf(b), 2);
  EXPECT_EQ(ValueOf(c), 3);
  EXPECT_EQ(ValueOf(same), 1);
  EXPECT_EQ(ValueOf(AddValue(2)), 2);  // kept by itself
}

TEST_F(TogetherTest, ACallHasNoMoreThanItsLimitAndOneModality) {
  RunningSequence& large = AddValue(100);
  const_cast<RequestMedia&>(*large.request->media).items[0].span.features = 3 * kMaxTokens;
  RunningSequence& video = Add("v", 1, 3, "video", 7);
  AskFor({&large, &AddValue(1), &video, &AddValue(2), &AddValue(3), &AddValue(4), &AddValue(5)});
  AdvanceUntilDone();
  EXPECT_EQ(executor_.calls, (std::vector{1, 4, 1, 1}));
  EXPECT_EQ(ValueOf(video), 7);
}

TEST_F(TogetherTest, ItemsOfOneRequestAreAskedForAtOnce) {
  RunningSequence& sequence = AddValue(1);
  auto& media = const_cast<RequestMedia&>(*sequence.request->media);
  media.items.push_back(media.items[0]);
  media.items[1].hash = "2";
  media.items[1].span = {6, 9, {{6, 3, 0}}, 3};
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 6), 2);
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 10), 2);
  AdvanceUntilDone();
  EXPECT_EQ(executor_.calls, std::vector{2});
  EXPECT_EQ(encoder_.NumReady(sequence, 0, 10), 10);
}

TEST_F(TogetherTest, WhoIsGoneTakesNobodyAlong) {
  RunningSequence &a = AddValue(1, 5), &b = AddValue(2, 5);
  AskFor({&a, &b});
  encoder_.Advance(absl::ZeroDuration());
  requests_.erase(requests_.begin());
  RunningSequence& again = AddValue(1, 5);  // what the call has, asked for anew
  AskFor({&again});
  AdvanceUntilDone();
  EXPECT_EQ(executor_.calls, std::vector{2});
  EXPECT_EQ(ValueOf(b), 2);
  EXPECT_EQ(ValueOf(again), 1);
}

TEST_F(TogetherTest, ACallThatNobodyWaitsForEnds) {
  AskFor({&AddValue(1, 5), &AddValue(2, 5)});
  encoder_.Advance(absl::ZeroDuration());
  requests_.clear();
  RunningSequence& other = AddValue(3);
  AskFor({&other});
  encoder_.Advance(absl::ZeroDuration());
  EXPECT_EQ(executor_.calls, (std::vector{2, 1}));
  EXPECT_EQ(ValueOf(other), 3);
}

TEST_F(TogetherTest, AnItemThatFailsFailsAlone) {
  RunningSequence &a = AddValue(1), &broken = AddValue(SlowEncoder::kBroken), &b = AddValue(2);
  RunningSequence& few = Add("few", 1, 2, "image", 3);
  AskFor({&a, &broken, &b, &few});
  AdvanceUntilDone();
  EXPECT_EQ(executor_.calls, (std::vector{4, 1, 1, 1, 1}));
  EXPECT_EQ(ValueOf(a), 1);
  EXPECT_EQ(ValueOf(b), 2);
  EXPECT_EQ(ValueOf(broken), -1);
  EXPECT_THAT(broken.media_status,
              StatusIs(absl::StatusCode::kInternal, HasSubstr("image 0: broken pixels")));
  EXPECT_EQ(ValueOf(few), -1);
  EXPECT_THAT(few.media_status, StatusIs(absl::StatusCode::kInternal,
                                         HasSubstr("gives 2 features, the processor counted 3")));
}

TEST_F(TogetherTest, AWrongNumberOfFeaturesIsOneItemsAlone) {
  RunningSequence &a = AddValue(1), &few = Add("few", 1, 2, "image", 3);
  AskFor({&a, &few});
  AdvanceUntilDone();
  EXPECT_EQ(executor_.calls, std::vector{2});
  EXPECT_EQ(ValueOf(a), 1);
  EXPECT_EQ(ValueOf(few), -1);
}

}  // namespace
}  // namespace keel

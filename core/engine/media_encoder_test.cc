#include "core/engine/media_encoder.h"

#include <ATen/ops/zeros.h>

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

// Encodes an item in so many advances, to so many rows, as its inputs say.
class SlowEncoder : public FakeExecutor {
 public:
  SlowEncoder() : FakeExecutor(kVocab, 4, testing::SayAlphabet) {}

  absl::StatusOr<std::unique_ptr<Encoding>> StartEncoding(const std::string& modality,
                                                          const NamedTensors& inputs) override {
    if (modality == "audio") return absl::UnimplementedError("no encoder of audio");
    ++num_started;
    const std::vector<int64_t>& dims = inputs.at("pixel_values").dims;
    return std::make_unique<Run>(dims[0], dims[1]);
  }

  int num_started = 0;

 private:
  class Run : public Encoding {
   public:
    Run(int64_t advances, int64_t rows) : advances_(advances), rows_(rows) {}
    absl::StatusOr<std::shared_ptr<const Features>> Advance(absl::Duration) override {
      if (--advances_ > 0) return std::shared_ptr<const Features>();
      return std::make_shared<const Features>(at::zeros({rows_, 2}));
    }

   private:
    int64_t advances_, rows_;
  };
};

class MediaEncoderTest : public ::testing::Test {
 protected:
  // A prompt of 10 tokens, [2, 5) of them an item that takes so many advances.
  RunningSequence& Add(const std::string& hash, int64_t advances, int64_t rows = 3,
                       const std::string& modality = "image") {
    auto media = std::make_shared<RequestMedia>();
    RequestMedia::Item& item = media->items.emplace_back();
    item.modality = modality;
    item.hash = hash;
    item.inputs["pixel_values"].dims = {advances, rows};
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

  SlowEncoder executor_;
  MediaEncoder encoder_{executor_, 1 << 20};
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
  EXPECT_EQ(executor_.num_started, 1);
}

TEST_F(MediaEncoderTest, FeaturesThatNoCacheHoldsReachWhoWaits) {
  MediaEncoder encoder(executor_, 0);
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

}  // namespace
}  // namespace keel

// Requests for vectors, from preparation to output, over an executor whose vectors say which rows they are of.
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/error_detail.h"
#include "core/base/status_matchers.h"
#include "core/engine/engine.h"
#include "core/engine/pooling_decoding.h"
#include "core/engine/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Letter;
using ::keel::testing::Letters;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PoolingTest : public ::testing::Test {
 protected:
  PoolingTest() : fake_(testing::MakeFakeModel()) {
    fake_.model.architecture = "FakeModel";
    fake_.model.max_step_tokens = 20;
    pooling_.size = 3;
    request_.prompt = "abc";
    request_.pooling = PoolingRequest{.task = "embed"};
    options_.scheduler.max_num_batched_tokens = 20;
  }

  void Serve(PoolingType type) {
    pooling_.type = type;
    pooling_.is_whole = type != PoolingType::kLast;
    fake_.model.pooling = pooling_;
    ServeText();
  }
  void ServeText() {
    auto engine = Engine::Serve(options_, std::move(fake_.model));
    KEEL_ASSERT_OK(engine.status());
    engine_ = *std::move(engine);
  }

  // Its last output; it has no other.
  Output Run(const Request& request) {
    Output last;
    absl::Notification ended;
    int outputs = 0;
    const auto id = engine_->Submit(request, [&](Output output) {
      ++outputs;
      last = std::move(output);
      if (last.is_last) ended.Notify();
    });
    KEEL_EXPECT_OK(id.status());
    if (!id.ok()) return last;
    EXPECT_TRUE(ended.WaitForNotificationWithTimeout(absl::Seconds(20)));
    EXPECT_EQ(outputs, 1);
    return last;
  }
  absl::Status StatusOf(const Request& request) {
    return engine_->Submit(request, [](Output) {}).status();
  }

  testing::FakeModel fake_;
  Pooling pooling_;
  Request request_;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;  // goes first
};

TEST_F(PoolingTest, AVectorIsOfTheRowsThatTheTypeSays) {
  Serve(PoolingType::kMean);
  const Output mean = Run(request_);
  EXPECT_THAT(mean.vector, ElementsAre(3, Letter('a'), Letter('c')));
  EXPECT_EQ(mean.finish_reason, FinishReason::kStop);
  EXPECT_THAT(mean.tokens, IsEmpty());
  EXPECT_THAT(mean.text, IsEmpty());
  EXPECT_EQ(*mean.prompt_tokens, Letters("abc"));
}

TEST_F(PoolingTest, CompanyDoesNotChangeAVector) {
  Serve(PoolingType::kCls);
  std::vector<std::pair<std::string, Output>> answers(8);
  std::vector<std::unique_ptr<absl::Notification>> ended;
  for (size_t i = 0; i < answers.size(); ++i) {
    answers[i].first = std::string(1 + (5 * i) % 19, static_cast<char>('b' + i));
    request_.prompt = answers[i].first;
    ended.push_back(std::make_unique<absl::Notification>());
    KEEL_ASSERT_OK(engine_
                       ->Submit(request_,
                                [&, i](Output output) {
                                  answers[i].second = std::move(output);
                                  ended[i]->Notify();
                                })
                       .status());
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    ASSERT_TRUE(ended[i]->WaitForNotificationWithTimeout(absl::Seconds(20)));
    const int32_t token = Letter(answers[i].first[0]);
    EXPECT_THAT(answers[i].second.vector, ElementsAre(1, token, token)) << i;
  }
}

// The last token alone is needed: a prompt may come in several steps, and from the prefix cache.
TEST_F(PoolingTest, ALongPromptOfACausalModelIsCutIntoSteps) {
  Serve(PoolingType::kLast);
  request_.prompt = std::string(49, 'a') + "z";
  EXPECT_THAT(Run(request_).vector, ElementsAre(1, Letter('z'), Letter('z')));
  const Output again = Run(request_);
  EXPECT_THAT(again.vector, ElementsAre(1, Letter('z'), Letter('z')));
  EXPECT_EQ(again.cached_tokens, 48);
}

// As transformers' causal classifiers, whose padding may be the token that ends a text.
TEST_F(PoolingTest, PaddingAtATextsEndIsPassedOverWhereTheModelSaysSo) {
  pooling_.padding_token = Letter('z');
  Serve(PoolingType::kLast);
  request_.prompt = "azbzz";
  const Output output = Run(request_);
  EXPECT_THAT(output.vector, ElementsAre(1, Letter('b'), Letter('b')));
  EXPECT_EQ(*output.prompt_tokens, Letters("azb"));
  request_.prompt = "zz";
  EXPECT_THAT(Run(request_).vector, ElementsAre(1, Letter('z'), Letter('z')));
}

TEST_F(PoolingTest, APromptThatMustBeWholeIsRefusedWhereAStepCannotHoldIt) {
  Serve(PoolingType::kMean);
  request_.prompt = std::string(20, 'a');
  EXPECT_THAT(Run(request_).vector, ElementsAre(20, Letter('a'), Letter('a')));
  request_.prompt = std::string(21, 'a');
  EXPECT_THAT(
      StatusOf(request_),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("prompt has 21 tokens, which this model computes in one step"),
                     HasSubstr("at most 20 (--max-num-batched-tokens)"))));
}

TEST_F(PoolingTest, TheWholeContextMayBeThePrompt) {
  options_.scheduler.max_num_batched_tokens = 1000;
  fake_.model.max_step_tokens = 1000;
  Serve(PoolingType::kMean);
  request_.prompt = std::string(256, 'a');
  EXPECT_EQ(Run(request_).vector[0], 256);
  request_.prompt = std::string(257, 'a');
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("prompt has 257 tokens, the model takes at "
                                                     "most 256 (max_model_len)")));
  request_.prompt = std::vector<int32_t>();
  EXPECT_THAT(StatusOf(request_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prompt is empty")));
}

TEST_F(PoolingTest, ALongTextLosesItsEndWhereThatIsAsked) {
  Serve(PoolingType::kMean);
  request_.prompt = std::string(6, 'a');
  request_.pooling->truncate_prompt_tokens = 3;
  EXPECT_EQ(*Run(request_).prompt_tokens, Letters("aaa"));
  request_.pooling->truncate_prompt_tokens = -1;
  EXPECT_EQ(*Run(request_).prompt_tokens, Letters("aaaaaa"));
  request_.prompt = std::string(1 << 20, 'a');
  EXPECT_EQ(Run(request_).vector[0], 20);
  request_.pooling->truncate_prompt_tokens = 257;
  EXPECT_THAT(StatusOf(request_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is 257, expected 1 to 256")));
}

TEST_F(PoolingTest, WhatTheModelDoesNotDoIsRefused) {
  Serve(PoolingType::kCls);
  request_.pooling->task = "classify";
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("(FakeModel) can embed, not classify")));
  request_.pooling.reset();
  const absl::Status generate = StatusOf(request_);
  EXPECT_THAT(generate, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("answers with vectors and generates no text")));
  EXPECT_EQ(DetailOf(generate, ErrorDetail::kField), "task");
}

TEST_F(PoolingTest, AModelThatGeneratesGivesNoVectors) {
  ServeText();
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           AllOf(HasSubstr("generates text and gives no vectors"),
                                                 HasSubstr("--runner pooling"))));
  request_.pooling.reset();
  request_.text_pair = "d";
  EXPECT_THAT(StatusOf(request_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("text_pair")));
}

TEST_F(PoolingTest, VectorsAreNormalizedUnlessTheRequestWantsThemAsTheyAre) {
  pooling_.activation = VectorActivation::kNormalize;
  Serve(PoolingType::kMean);
  const std::vector<float> unit = Run(request_).vector;
  EXPECT_NEAR(std::hypot(unit[0], unit[1], unit[2]), 1, 1e-6);
  request_.pooling->use_activation = false;
  EXPECT_THAT(Run(request_).vector, ElementsAre(3, Letter('a'), Letter('c')));
}

TEST_F(PoolingTest, DimensionsAreForModelsThatWereMadeForThem) {
  pooling_.activation = VectorActivation::kNormalize;
  pooling_.is_matryoshka = true;
  pooling_.matryoshka_sizes = {1, 2};
  Serve(PoolingType::kMean);
  request_.pooling->dimensions = 2;
  const std::vector<float> cut = Run(request_).vector;
  ASSERT_EQ(cut.size(), 2u);
  EXPECT_NEAR(std::hypot(cut[0], cut[1]), 1, 1e-6);
  request_.pooling->dimensions = 3;
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("dimensions is 3, expected one of 1, 2")));
}

TEST_F(PoolingTest, DimensionsAreElseRefused) {
  Serve(PoolingType::kMean);
  request_.pooling->dimensions = 2;
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("was not made for vectors that are cut")));
}

TEST_F(PoolingTest, TwoTextsAreReadTogether) {
  Serve(PoolingType::kMean);
  request_.text_pair = "xy";
  EXPECT_EQ(*Run(request_).prompt_tokens, Letters("abcxy"));
  request_.text_pair = std::string(1 << 20, 'x');
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("bytes surely fill; shorten them")));
  request_.prompt = std::vector<int32_t>{1, 2};
  EXPECT_THAT(StatusOf(request_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("the prompt must be a text too")));
}

TEST(FinishVectorTest, Activations) {
  const auto finish = [](VectorActivation activation, std::vector<float> vector) {
    FinishVector(activation, std::nullopt, vector);
    return vector;
  };
  EXPECT_THAT(finish(VectorActivation::kNone, {3, -4}), ElementsAre(3, -4));
  EXPECT_THAT(finish(VectorActivation::kNormalize, {3, -4}), ElementsAre(0.6F, -0.8F));
  EXPECT_THAT(finish(VectorActivation::kNormalize, {0, 0}), ElementsAre(0, 0));
  EXPECT_THAT(finish(VectorActivation::kSoftmax, {1000, 1000, 1000 - std::log(2.0F)}),
              ElementsAre(FloatNear(0.4, 1e-4), FloatNear(0.4, 1e-4), FloatNear(0.2, 1e-4)));
  EXPECT_THAT(finish(VectorActivation::kSigmoid, {0, 100}), ElementsAre(0.5F, 1));
}

}  // namespace
}  // namespace keel

#include "core/model/pooling.h"

#include <string>

#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kModules[] = R"([
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize",
     "type": "sentence_transformers.models.Normalize"}])";

class PoolingOfTest : public ::testing::Test {
 protected:
  PoolingOfTest() {
    Config("{}");
    dir_.Write("model.safetensors", testing::SafetensorsBytes("{}", 0));
    graph_.mutable_spec()->set_architecture("FakeModel");
    graph_.mutable_spec()->set_hidden_size(8);
    graph_.add_functions()->set_name("forward");
  }

  void Config(const std::string& json) { dir_.Write("config.json", json); }
  void BeEncoder() {
    graph_.add_declarations()->mutable_attention()->set_kind(proto::Attention::ENCODER);
    proto::Node* node = graph_.mutable_functions(0)->add_nodes();
    node->set_op(proto::OP_ATTENTION);
    node->set_object(1);
  }
  // A function "pool" that gives vectors of `size`.
  void GiveHead(int64_t size) {
    proto::Function* pool = graph_.add_functions();
    pool->set_name("pool");
    pool->add_inputs();
    proto::Node* node = pool->add_nodes();
    node->add_outputs(2);
    proto::Type* type = node->add_types();
    type->add_dims();
    type->add_dims()->set_size(size);
    pool->add_outputs(2);
  }
  void GiveModules(const std::string& modules, const std::string& pooling) {
    dir_.Write("modules.json", modules);
    dir_.Write("1_Pooling/config.json", pooling);
  }
  absl::StatusOr<std::optional<Pooling>> Find() {
    KEEL_ASSIGN_OR_RETURN(checkpoint_, Checkpoint::Open(dir_.path()));
    return PoolingOf(options_, *checkpoint_, graph_);
  }
  Pooling Expect() {
    const auto found = Find();
    KEEL_EXPECT_OK(found.status());
    EXPECT_TRUE(found.ok() && found->has_value());
    return found.ok() && found->has_value() ? **found : Pooling();
  }

  testing::ScratchDir dir_;
  PoolingOptions options_;
  proto::Graph graph_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_F(PoolingOfTest, ACausalModelGeneratesUnlessItIsToldOtherwise) {
  auto found = Find();
  KEEL_ASSERT_OK(found.status());
  EXPECT_FALSE(found->has_value());
  options_.runner = Runner::kPooling;
  const Pooling pooling = Expect();
  EXPECT_EQ(pooling.task, PoolingTask::kEmbed);
  EXPECT_EQ(pooling.type, PoolingType::kLast);
  EXPECT_EQ(pooling.activation, VectorActivation::kNormalize);
  EXPECT_FALSE(pooling.is_whole);
  EXPECT_EQ(pooling.size, 8);
}

TEST_F(PoolingOfTest, SentenceTransformersFilesDecide) {
  GiveModules(kModules, R"({"word_embedding_dimension": 8, "pooling_mode_cls_token": false,
                            "pooling_mode_mean_tokens": true, "include_prompt": true})");
  dir_.Write("sentence_bert_config.json", R"({"max_seq_length": 256, "do_lower_case": false})");
  const Pooling pooling = Expect();
  EXPECT_EQ(pooling.type, PoolingType::kMean);
  EXPECT_EQ(pooling.activation, VectorActivation::kNormalize);
  EXPECT_TRUE(pooling.is_whole);
  EXPECT_EQ(pooling.max_tokens, 256);
  options_.runner = Runner::kGenerate;
  const auto generates = Find();
  KEEL_ASSERT_OK(generates.status());
  EXPECT_FALSE(generates->has_value());
}

TEST_F(PoolingOfTest, WithoutANormalizeModuleVectorsStayAsTheyAre) {
  const std::string modules(kModules);
  GiveModules(modules.substr(0, modules.find(R"({"idx": 2)") - 6) + "]",
              R"({"pooling_mode": "lasttoken"})");
  const Pooling pooling = Expect();
  EXPECT_EQ(pooling.type, PoolingType::kLast);
  EXPECT_EQ(pooling.activation, VectorActivation::kNone);
}

TEST_F(PoolingOfTest, WhatIsNotServedIsRefusedByName) {
  GiveModules(kModules, R"({"pooling_mode_max_tokens": true})");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnimplemented,
                               HasSubstr("1_Pooling/config.json: pooling by max is not served")));
  GiveModules(kModules, R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("mean and cls")));
  std::string modules(kModules);
  modules.replace(modules.find("1_Pooling"), 9, "../secret");
  GiveModules(modules, "{}");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnimplemented,
                               HasSubstr("modules.json: the path '../secret' is not served")));
  modules = kModules;
  modules.replace(modules.find("models.Normalize"), 16, "models.Dense");
  GiveModules(modules, R"({"pooling_mode_mean_tokens": true})");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnimplemented,
                               HasSubstr("the module sentence_transformers.models.Dense")));
}

TEST_F(PoolingOfTest, AnEncoderGivesVectorsOfItsFirstToken) {
  BeEncoder();
  GiveHead(8);
  const Pooling pooling = Expect();
  EXPECT_EQ(pooling.task, PoolingTask::kEmbed);
  EXPECT_EQ(pooling.type, PoolingType::kCls);
  EXPECT_TRUE(pooling.is_whole);
  EXPECT_TRUE(pooling.uses_head);
  options_.type = PoolingType::kLast;
  EXPECT_TRUE(Expect().is_whole);
  options_.runner = Runner::kGenerate;
  EXPECT_THAT(Find(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--runner is generate, but FakeModel answers with vectors")));
}

TEST_F(PoolingOfTest, AClassifierHasLabelsAndProbabilities) {
  BeEncoder();
  GiveHead(3);
  graph_.mutable_spec()->set_architecture("FakeForSequenceClassification");
  Config(R"({"id2label": {"0": "sad", "1": "happy"}})");
  const Pooling pooling = Expect();
  EXPECT_EQ(pooling.task, PoolingTask::kClassify);
  EXPECT_EQ(pooling.activation, VectorActivation::kSoftmax);
  EXPECT_THAT(pooling.labels, ElementsAre("sad", "happy", "LABEL_2"));
  Config(R"({"problem_type": "multi_label_classification"})");
  EXPECT_EQ(Expect().activation, VectorActivation::kSigmoid);
  Config(R"({"problem_type": "regression"})");
  EXPECT_EQ(Expect().activation, VectorActivation::kNone);
  options_.convert = Convert::kEmbed;
  const Pooling embeds = Expect();
  EXPECT_EQ(embeds.task, PoolingTask::kEmbed);
  EXPECT_FALSE(embeds.uses_head);
  EXPECT_EQ(embeds.size, 8);
}

TEST_F(PoolingOfTest, ACausalClassifierPassesOverPadding) {
  GiveHead(3);
  graph_.mutable_spec()->set_architecture("FakeForSequenceClassification");
  EXPECT_EQ(Expect().padding_token, std::nullopt);
  Config(R"({"pad_token_id": 7})");
  EXPECT_EQ(Expect().padding_token, 7);
  Config(R"({"pad_token_id": 7, "text_config": {"pad_token_id": 8}})");
  EXPECT_EQ(Expect().padding_token, 8);
  Config(R"({"pad_token_id": 7, "text_config": {"pad_token_id": null}})");
  EXPECT_EQ(Expect().padding_token, std::nullopt);
  Config(R"({"pad_token_id": 7})");
  options_.convert = Convert::kEmbed;
  EXPECT_EQ(Expect().padding_token, std::nullopt) << "an embedding is of the last token";
}

TEST_F(PoolingOfTest, AClassifierMaySayThatItTakesTheMean) {
  BeEncoder();
  GiveHead(3);
  graph_.mutable_spec()->set_architecture("FakeForSequenceClassification");
  Config(R"({"classifier_pooling": "mean"})");
  EXPECT_EQ(Expect().type, PoolingType::kMean);
  options_.convert = Convert::kEmbed;
  EXPECT_EQ(Expect().type, PoolingType::kCls) << "of the classifier alone";
  options_.convert = Convert::kAuto;
  Config(R"({"classifier_pooling": "bos"})");
  EXPECT_EQ(Expect().type, PoolingType::kCls);
  Config(R"({"classifier_pooling": "max"})");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnimplemented,
                               HasSubstr("config.json: classifier_pooling max is not served")));
}

TEST_F(PoolingOfTest, ToClassifyAModelNeedsAHeadForLabels) {
  options_.convert = Convert::kClassify;
  EXPECT_THAT(Find(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--convert is classify, but FakeModel has no head for labels")));
  GiveHead(3);
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kInvalidArgument)) << "vectors of any kind";
  graph_.mutable_spec()->set_architecture("FakeForSequenceClassification");
  EXPECT_EQ(Expect().task, PoolingTask::kClassify);
}

TEST_F(PoolingOfTest, ACrossEncoderSaysItsActivation) {
  BeEncoder();
  GiveHead(1);
  graph_.mutable_spec()->set_architecture("FakeForSequenceClassification");
  EXPECT_EQ(Expect().activation, VectorActivation::kSigmoid);
  Config(R"({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}})");
  EXPECT_EQ(Expect().activation, VectorActivation::kNone);
  Config(R"({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"})");
  EXPECT_EQ(Expect().activation, VectorActivation::kSigmoid);
  Config(R"({"sbert_ce_default_activation_function": "torch.nn.modules.activation.GELU"})");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("activation.GELU")));
}

TEST_F(PoolingOfTest, FlagsThatContradictTheModelAreRefused) {
  options_.runner = Runner::kPooling;
  options_.convert = Convert::kNone;
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("--convert is none, but FakeModel has no head")));
  options_.runner = Runner::kGenerate;
  options_.convert = Convert::kEmbed;
  EXPECT_THAT(Find(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--convert is embed")));
}

TEST_F(PoolingOfTest, MatryoshkaIsTheConfigsWord) {
  options_.runner = Runner::kPooling;
  EXPECT_FALSE(Expect().is_matryoshka);
  Config(R"({"is_matryoshka": true})");
  EXPECT_TRUE(Expect().is_matryoshka);
  Config(R"({"matryoshka_dimensions": [2, 4]})");
  EXPECT_TRUE(Expect().is_matryoshka);
  EXPECT_THAT(Expect().matryoshka_sizes, ElementsAre(2, 4));
}

}  // namespace
}  // namespace keel

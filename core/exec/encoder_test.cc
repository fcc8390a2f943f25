// Encoders, and what a step does with their features, on the tiny model with a tower of one linear.
#include "core/exec/encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/exec/tiny_executor.h"
#include "core/graph/feature_rows.h"
#include "core/graph/op_attributes.h"
#include "core/graph/testing.h"
#include "core/ops/served.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Difference;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kPatch = 12, kHidden = 64;

// Adds encode/image: pixel_values [S1, 12] through the linear "tower".
void AddTower(proto::Graph& graph) {
  proto::Declaration& tower = *graph.add_declarations();
  tower.set_name("tower");
  tower.mutable_linear()->set_in(kPatch);
  tower.mutable_linear()->set_out(kHidden);
  const Extent rows{1, "S1", 1};
  proto::Function& encode = *graph.add_functions();
  encode.set_name("encode/image");
  proto::Function::Input& input = *encode.add_inputs();
  input.set_name("pixel_values");
  *input.mutable_type() = ToProto({proto::MODEL, {rows, {kPatch, "", 1}}});
  proto::Node& node = *encode.add_nodes();
  node = op::MakeNode(proto::OP_LINEAR, static_cast<uint32_t>(graph.declarations_size()));
  node.add_inputs(1);
  node.add_outputs(2);
  *node.add_types() = ToProto({proto::MODEL, {rows, {kHidden, "", 1}}});
  encode.add_outputs(2);
}

// Gives forward an input `name` [N, 64], which is added to what it had for its result.
void AddToResult(const char* name, proto::Graph& graph) {
  for (proto::Function& forward : *graph.mutable_functions()) {
    if (forward.name() != "forward") continue;
    const auto added = static_cast<uint32_t>(forward.inputs_size() + 1);
    uint32_t last = added;
    const auto make_room = [&](auto* ids) {
      for (uint32_t& id : *ids) {
        if (id >= added) ++id;
        last = std::max(last, id);
      }
    };
    for (proto::Node& node : *forward.mutable_nodes()) {
      make_room(node.mutable_inputs());
      make_room(node.mutable_outputs());
    }
    make_room(forward.mutable_outputs());
    proto::Function::Input& input = *forward.add_inputs();
    input.set_name(name);
    *input.mutable_type() = ToProto({proto::MODEL, {{1, "N", 1}, {kHidden, "", 1}}});
    proto::Node& sum = *forward.add_nodes();
    sum = op::MakeNode(proto::OP_ADD);
    sum.add_inputs(forward.outputs(0));
    sum.add_inputs(added);
    sum.add_outputs(last + 1);
    *sum.add_types() = input.type();
    forward.set_outputs(0, last + 1);
  }
}

HostTensor Floats(std::vector<int64_t> dims, const std::vector<float>& values) {
  HostTensor out{DType::kF32, std::move(dims), {}};
  out.bytes.resize(values.size() * sizeof(float));
  std::memcpy(out.bytes.data(), values.data(), out.bytes.size());
  return out;
}

class EncoderTest : public ::testing::TestWithParam<ExecutorOptions> {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel recorded, testing::RecordTinyModel());
    graph_ = recorded.graph;
    AddTower(graph_);
    Change(graph_);
    tensors_ = testing::RandomTensors(graph_, 3);
    KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), tensors_));
    ExecutorOptions options = GetParam();
    options.block_size = 4;
    KEEL_ASSERT_OK_AND_ASSIGN(executor_, Executor::Create(graph_, checkpoint_, registry_, options));
    KEEL_ASSERT_OK(executor_->AllocateCache({64}, 0));
  }

  virtual void Change(proto::Graph&) {}

  std::shared_ptr<const Features> EmbeddingsOf(std::vector<int64_t> ids) {
    const at::Tensor table = tensors_.at("model.embed_tokens.weight");
    std::vector<at::Tensor> rows;
    for (const int64_t id : ids) rows.push_back(table.narrow(0, id, 1));
    return std::make_shared<const Features>(at::cat(rows).contiguous());
  }

  proto::Graph graph_;
  testing::ScratchDir dir_;
  std::map<std::string, at::Tensor> tensors_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  AttentionRegistry registry_;
  std::unique_ptr<Executor> executor_;
};

TEST_P(EncoderTest, RunsTheTower) {
  std::vector<float> pixels;
  for (int i = 0; i < 3 * kPatch; ++i) pixels.push_back(static_cast<float>(i % 5) - 2);
  KEEL_ASSERT_OK_AND_ASSIGN(
      const auto features,
      executor_->Encode("image", {{"pixel_values", Floats({3, kPatch}, pixels)}}));
  ASSERT_EQ(features->num_rows(), 3);
  const at::Tensor expected =
      at::linear(at::from_blob(pixels.data(), {3, kPatch}, at::TensorOptions().dtype(at::kFloat)),
                 tensors_.at("tower.weight"));
  EXPECT_LE(Difference(features->rows(), expected), 1e-5);
}

TEST_P(EncoderTest, RefusesInputsByName) {
  const auto invalid = [](const std::string& what) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
  };
  EXPECT_THAT(executor_->Encode("audio", {}).status(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("no encoder of audio")));
  EXPECT_THAT(executor_->Encode("image", {}).status(),
              invalid("encode/image: input 'pixel_values' is missing"));
  const HostTensor narrow = Floats({2, 6}, std::vector<float>(12));
  EXPECT_THAT(executor_->Encode("image", {{"pixel_values", narrow}}).status(),
              invalid("input 'pixel_values' is float32 [2, 6], expected"));
  HostTensor ints = Floats({1, kPatch}, std::vector<float>(kPatch));
  ints.dtype = DType::kI32;
  EXPECT_THAT(executor_->Encode("image", {{"pixel_values", ints}}).status(),
              invalid("is int32 [1, 12], expected"));
  HostTensor short_one = Floats({2, kPatch}, std::vector<float>(kPatch));
  EXPECT_THAT(executor_->Encode("image", {{"pixel_values", short_one}}).status(),
              invalid("has 48 bytes for [2, 12]"));
  const HostTensor good = Floats({1, kPatch}, std::vector<float>(kPatch));
  EXPECT_THAT(executor_->Encode("image", {{"pixel_values", good}, {"grid", good}}).status(),
              invalid("got 2 inputs, expected 1"));
}

// Features that are the embeddings of other tokens give what those tokens give.
TEST_P(EncoderTest, FeaturesTakeThePlaceOfEmbeddings) {
  Batch said{.token_ids = {5, 40, 41, 42, 7, 43},
             .sequences = {{0, 5, -1, {{1, 2}}}, {0, 1, -1, {{3}}}},
             .logit_rows = {0, 1, 2, 3, 4, 5}};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor_->Step(said));
  const at::Tensor expected = logits.clone();
  Batch shown = said;
  shown.token_ids = {5, 9, 9, 9, 7, 9};
  const auto features = EmbeddingsOf({40, 41, 42, 43});
  shown.features = {{1, 3, 0, features}, {5, 1, 3, features}};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor of_features, executor_->Step(shown));
  EXPECT_LE(Difference(of_features, expected), 1e-6);
  shown.features.pop_back();
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor of_half, executor_->Step(shown));
  EXPECT_GT(Difference(of_half, expected), 1e-2);
}

TEST_P(EncoderTest, RefusesFeaturesThatAreNotThere) {
  Batch batch{.token_ids = {5, 9}, .sequences = {{0, 2, -1, {{1}}}}, .logit_rows = {1}};
  batch.features = {{1, 1, 2, EmbeddingsOf({40, 41})}};
  EXPECT_THAT(executor_->Step(batch).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rows 2 to 3 of 2 features")));
  batch.features = {{1, 2, 0, EmbeddingsOf({40, 41})}};
  EXPECT_THAT(executor_->Step(batch).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("row 1 on, of 2 tokens")));
}

TEST_P(EncoderTest, PositionsMayBeOthersThanPlaces) {
  Batch batch{.token_ids = {5, 9, 7}, .sequences = {{0, 3, -1, {{1}}}}, .logit_rows = {2}};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor_->Step(batch));
  const at::Tensor plain = logits.clone();
  batch.positions = {0, 1, 2};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor same, executor_->Step(batch));
  EXPECT_LE(Difference(same, plain), 1e-6);
  batch.positions = {0, 1, 9};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor moved, executor_->Step(batch));
  EXPECT_GT(Difference(moved, plain), 1e-3);
  batch.positions = {0, 1, 2, 0, 1, 2};
  EXPECT_THAT(executor_->Step(batch).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("have 2 axes, expected 1")));
  batch.positions = {0, 1};
  EXPECT_THAT(executor_->Step(batch).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 positions for 3 tokens")));
}

// The tiny model whose encoder gives two rows for each feature; the second is added to the token's hidden state.
class MoreFeaturesTest : public EncoderTest {
 protected:
  void Change(proto::Graph& graph) override { AddToResult("features/1", graph); }
};

TEST_P(MoreFeaturesTest, EncodersGiveSeveralRowsForAFeature) {
  std::vector<float> pixels(4 * kPatch);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 7) - 3;
  KEEL_ASSERT_OK_AND_ASSIGN(
      const auto features,
      executor_->Encode("image", {{"pixel_values", Floats({4, kPatch}, pixels)}}));
  ASSERT_EQ(features->num_rows(), 2);
  const at::Tensor rows = at::linear(
      at::from_blob(pixels.data(), {2, 2, kPatch}, at::TensorOptions().dtype(at::kFloat)),
      tensors_.at("tower.weight"));
  EXPECT_LE(Difference(features->rows(), rows.select(1, 0)), 1e-5);
  EXPECT_LE(Difference(features->rows(1), rows.select(1, 1)), 1e-5);
  pixels.resize(3 * kPatch);
  EXPECT_THAT(
      executor_->Encode("image", {{"pixel_values", Floats({3, kPatch}, pixels)}}).status(),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("3 rows, expected 2 for each feature")));
}

TEST_P(MoreFeaturesTest, ForwardTakesTheOtherRowsOfItsTokens) {
  Batch said{
      .token_ids = {5, 40, 41, 7}, .sequences = {{0, 4, -1, {{1}}}}, .logit_rows = {0, 1, 2, 3}};
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, executor_->Step(said));
  at::Tensor expected = logits.clone();
  Batch shown = said;
  shown.token_ids = {5, 9, 9, 7};
  const at::Tensor first = EmbeddingsOf({40, 41})->rows(), second = EmbeddingsOf({42, 43})->rows();
  const auto features = std::make_shared<const Features>(
      at::stack({first, second}, 1).view({4, kHidden}).contiguous(), 2);
  shown.features = {{1, 2, 0, features}};
  expected.narrow(0, 1, 2).add_(at::linear(second, tensors_.at("lm_head.weight")));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor of_features, executor_->Step(shown));
  EXPECT_LE(Difference(of_features, expected), 1e-5);
}

TEST(MoreFeaturesInputsTest, AreNumberedFromOne) {
  KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel recorded, testing::RecordTinyModel());
  EXPECT_EQ(RowsPerFeature(recorded.graph), 1);
  AddToResult("features/2", recorded.graph);
  EXPECT_THAT(CheckServed(recorded.graph),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'features/2', expected")));
  AddToResult("features/1", recorded.graph);
  KEEL_EXPECT_OK(CheckServed(recorded.graph));
  EXPECT_EQ(RowsPerFeature(recorded.graph), 3);
  AddToResult("features/none", recorded.graph);
  EXPECT_THAT(CheckServed(recorded.graph),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("'features/none'")));
}

INSTANTIATE_TEST_SUITE_P(Ways, MoreFeaturesTest,
                         ::testing::Values(ExecutorOptions{.mode = ExecMode::kCompiled},
                                           ExecutorOptions{.mode = ExecMode::kGraph}),
                         [](const auto& info) { return ExecModeName(info.param.mode); });

INSTANTIATE_TEST_SUITE_P(Ways, EncoderTest,
                         ::testing::Values(ExecutorOptions{.mode = ExecMode::kCompiled},
                                           ExecutorOptions{.mode = ExecMode::kGraph}),
                         [](const auto& info) { return ExecModeName(info.param.mode); });

}  // namespace
}  // namespace keel

#include "core/weights/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Declarations by hand, and tensors for them.
class WeightsTest : public ::testing::Test {
 protected:
  proto::Linear* AddLinear(const std::string& name, int64_t in, int64_t out, bool bias = false) {
    proto::Declaration* d = graph_.add_declarations();
    d->set_name(name);
    d->mutable_linear()->set_in(in);
    d->mutable_linear()->set_out(out);
    d->mutable_linear()->set_bias(bias);
    return d->mutable_linear();
  }
  void AddEmbedding(const std::string& name, int64_t rows, int64_t size) {
    proto::Declaration* d = graph_.add_declarations();
    d->set_name(name);
    d->mutable_embedding()->set_rows(rows);
    d->mutable_embedding()->set_size(size);
  }
  void AddExperts(const std::string& name, int64_t experts) {
    proto::Declaration* d = graph_.add_declarations();
    d->set_name(name);
    proto::Moe* moe = d->mutable_moe();
    moe->set_experts(experts);
    moe->set_hidden_size(4);
    moe->set_intermediate_size(6);
    moe->set_gate("experts.{e}.gate_proj");
    moe->set_up("experts.{e}.up_proj");
    moe->set_down("experts.{e}.down_proj");
  }

  // Random tensors for all declarations, and `extra`.
  absl::StatusOr<std::shared_ptr<const Weights>> Load(
      const std::map<std::string, at::Tensor>& extra = {}, DType dtype = DType::kF32) {
    tensors_ = testing::RandomTensors(graph_, 1);
    std::erase_if(tensors_, [](const auto& t) { return t.first == ".weight"; });  // of no spec
    for (const auto& [name, tensor] : extra) tensors_[name] = tensor;
    absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
        testing::WriteCheckpoint(dir_.path(), tensors_);
    if (!checkpoint.ok()) return checkpoint.status();
    return LoadWeights(graph_, *std::move(checkpoint), {.dtype = dtype});
  }

  testing::ScratchDir dir_;
  proto::Graph graph_;
  std::map<std::string, at::Tensor> tensors_;
};

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return at::abs(a - b).max().item<double>();
}

TEST_F(WeightsTest, AnObjectIsOfItsDeclarationsKindAlone) {
  AddLinear("proj", 4, 6, /*bias=*/true);
  AddEmbedding("embed", 10, 4);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load());
  const at::Tensor x = at::randn({3, 4});
  EXPECT_LT(Difference(weights->linear(1).Apply(x),
                       at::linear(x, tensors_["proj.weight"], tensors_["proj.bias"])),
            1e-5);
  EXPECT_TRUE(at::equal(weights->of<EmbeddingWeight>(2).rows, tensors_["embed.weight"]));
  EXPECT_THROW(weights->linear(2), c10::Error);
  EXPECT_THROW(weights->of<NormWeight>(1), c10::Error);
  EXPECT_THROW(weights->linear(3), c10::Error);
}

TEST_F(WeightsTest, ATiedLinearMultipliesByTheEmbeddingWhicheverIsDeclaredFirst) {
  AddLinear("lm_head", 4, 10);
  graph_.mutable_declarations(0)->set_tied_to(2);
  AddEmbedding("embed", 10, 4);
  tensors_ = testing::RandomTensors(graph_, 1);
  KEEL_ASSERT_OK_AND_ASSIGN(
      auto checkpoint,
      testing::WriteCheckpoint(dir_.path(), {{"embed.weight", tensors_["embed.weight"]}}));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, LoadWeights(graph_, std::move(checkpoint), {}));
  const at::Tensor x = at::randn({3, 4});
  EXPECT_LT(Difference(weights->linear(1).Apply(x), at::linear(x, tensors_["embed.weight"])), 1e-5);
}

TEST_F(WeightsTest, RanksPartsOfExpertsAddUpToTheWhole) {
  AddExperts("moe", 3);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto whole, Load());
  const at::Tensor x = at::randn({2, 4});
  at::Tensor sum;
  for (int rank = 0; rank < 2; ++rank) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto part,
                              ShardWeights(whole, {{WeightSplit::kExperts, 2}}, rank, 2));
    const ExpertWeights::Mlp& mlp = part->of<ExpertWeights>(1).experts[1];
    const at::Tensor y = mlp.down->Apply(mlp.gate->Apply(x) * mlp.up->Apply(x));
    sum = sum.defined() ? sum + y : y;
  }
  const ExpertWeights::Mlp& mlp = whole->of<ExpertWeights>(1).experts[1];
  EXPECT_LT(Difference(sum, mlp.down->Apply(mlp.gate->Apply(x) * mlp.up->Apply(x))), 1e-5);
}

TEST_F(WeightsTest, RanksHaveTheirRowsOfAParameter) {
  proto::Declaration* d = graph_.add_declarations();
  d->set_name("scale");
  for (const int64_t size : {6, 4}) d->mutable_param()->mutable_type()->add_dims()->set_size(size);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto whole, Load());
  for (int rank = 0; rank < 2; ++rank) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto part,
                              ShardWeights(whole, {{WeightSplit::kRows, 2}}, rank, 2));
    EXPECT_TRUE(
        at::equal(part->of<ParamWeight>(1).value, tensors_["scale"].narrow(0, rank * 3, 3)));
  }
}

TEST_F(WeightsTest, ATensorOfTheWantedTypeIsNotCopied) {
  AddEmbedding("embed", 10, 4);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load());
  KEEL_ASSERT_OK_AND_ASSIGN(const TensorView* view, weights->checkpoint->Find("embed.weight"));
  EXPECT_EQ(weights->of<EmbeddingWeight>(1).rows.const_data_ptr(), view->data);
}

TEST_F(WeightsTest, ATensorOfAnIntegerTypeIsRefusedByName) {
  AddLinear("lm_head", 4, 10);
  KEEL_ASSERT_OK_AND_ASSIGN(
      auto checkpoint,
      testing::WriteCheckpoint(dir_.path(), {{"lm_head.weight", at::randn({10, 4})}}, DType::kI64));
  EXPECT_THAT(LoadWeights(graph_, std::move(checkpoint), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expected a floating-point type for lm_head.weight")));
}

TEST_F(WeightsTest, AHeadOfItsOwnThatDiffersFromTheEmbeddingIsUsedThoughItIsTied) {
  AddEmbedding("embed", 10, 4);
  AddLinear("lm_head", 4, 10);
  graph_.mutable_declarations(1)->set_tied_to(1);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load());
  const at::Tensor x = at::randn({3, 4});
  EXPECT_LT(Difference(weights->linear(2).Apply(x), at::linear(x, tensors_["lm_head.weight"])),
            1e-5);
  EXPECT_THAT(weights->warnings,
              ElementsAre(AllOf(HasSubstr("lm_head.weight"), HasSubstr("embed.weight"))));
}

TEST_F(WeightsTest, AHeadThatEqualsTheEmbeddingIsTiedWithoutAWord) {
  AddEmbedding("embed", 10, 4);
  AddLinear("lm_head", 4, 10);
  graph_.mutable_declarations(1)->set_tied_to(1);
  const at::Tensor both = at::randn({10, 4});
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights,
                            Load({{"embed.weight", both}, {"lm_head.weight", both}}));
  EXPECT_THAT(weights->warnings, IsEmpty());
}

TEST_F(WeightsTest, ATensorOfADeclaredModuleThatNothingTakesIsRefusedByName) {
  AddLinear("layers.0.q_proj", 4, 6);
  const auto left = [&](const std::string& name) {
    return Load({{name, at::randn({6})}}).status();
  };
  for (const char* name : {"layers.0.q_proj.bias", "layers.0.q_proj.weight_scale"}) {
    EXPECT_THAT(left(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                     AllOf(HasSubstr(name), HasSubstr("declare them"))));
  }
  graph_.mutable_spec()->set_base_model_prefix("model");
  EXPECT_THAT(left("model.layers.0.q_proj.bias"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("q_proj.bias")));
}

TEST_F(WeightsTest, OtherTensorsThatNothingTakesAreWarnedOfByNameUnlessTheyAreHarmless) {
  AddLinear("layers.0.q_proj", 4, 6);
  const at::Tensor any = at::randn({2});
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load({{"mtp.0.proj.weight", any},
                                                      {"layers.0.rotary_emb.inv_freq", any},
                                                      {"layers.0.attn.bias", any}}));
  EXPECT_THAT(weights->warnings, ElementsAre(HasSubstr("does not use: mtp.0.proj.weight;")));
}

TEST_F(WeightsTest, AnIgnoreRuleCoversWhatIsLeftOver) {
  AddLinear("layers.0.q_proj", 4, 6);
  proto::ModelSpec::Rename* rule = graph_.mutable_spec()->add_renames();
  rule->set_op(proto::ModelSpec::Rename::IGNORE);
  rule->add_from("mtp\\..*");
  rule->add_from("layers\\.\\d+\\.q_proj\\.bias");
  const at::Tensor any = at::randn({2});
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights,
                            Load({{"mtp.0.proj.weight", any}, {"layers.0.q_proj.bias", any}}));
  EXPECT_THAT(weights->warnings, IsEmpty());
}

TEST_F(WeightsTest, ComparingNamesAllThatLoadingWouldRefuseAndReadsNothing) {
  AddEmbedding("embed", 10, 4);
  AddLinear("head", 4, 10);
  graph_.mutable_declarations(1)->set_tied_to(1);
  AddLinear("gone", 4, 6, /*bias=*/true);
  AddLinear("fat", 4, 6);
  KEEL_ASSERT_OK_AND_ASSIGN(
      auto checkpoint, testing::WriteCheckpoint(dir_.path(), {{"embed.weight", at::randn({10, 4})},
                                                              {"fat.weight", at::randn({6, 5})},
                                                              {"fat.scale", at::randn({6})},
                                                              {"mtp.weight", at::randn({2})},
                                                              {"gone.bias", at::randn({6})}}));
  KEEL_ASSERT_OK_AND_ASSIGN(const TensorComparison compared,
                            CompareTensors(graph_, std::move(checkpoint), DType::kBF16));
  EXPECT_THAT(compared.missing, ElementsAre("gone.weight"));
  ASSERT_EQ(compared.unfit.size(), 1u);
  EXPECT_THAT(compared.unfit[0], StatusIs(absl::StatusCode::kInvalidArgument,
                                          AllOf(HasSubstr("fat.weight"), HasSubstr("[6, 4]"))));
  EXPECT_THAT(compared.leftover, ElementsAre("fat.scale"));
  EXPECT_THAT(compared.unused, ElementsAre("mtp.weight"));
  EXPECT_THAT(compared.ties, ElementsAre("head.weight is embed.weight"));
}

TEST_F(WeightsTest, MoreExpertsThanTheCheckpointHasTensorsAreRefusedAtOnce) {
  AddExperts("moe", 2);
  tensors_ = testing::RandomTensors(graph_, 1);
  KEEL_ASSERT_OK_AND_ASSIGN(auto checkpoint, testing::WriteCheckpoint(dir_.path(), tensors_));
  graph_.mutable_declarations(0)->mutable_moe()->set_experts(int64_t{1} << 30);
  EXPECT_THAT(LoadWeights(graph_, std::move(checkpoint), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1073741824 experts")));
}

}  // namespace
}  // namespace keel

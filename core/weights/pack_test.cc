#include "core/weights/pack.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/tensor/aten.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The largest difference, as a share of the largest value.
double Difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kFloat), y = b.to(at::kFloat);
  return (at::abs(x - y).max() / at::abs(y).max()).item<double>();
}

// Embeddings with a tied head, a linear with a bias, experts; sizes that no panel divides.
class PackTest : public ::testing::Test {
 protected:
  static constexpr int64_t kHidden = 96, kOut = 150, kVocab = 130, kExperts = 3, kInner = 70;

  PackTest() {
    proto::Declaration* d = graph_.add_declarations();
    d->set_name("embed");
    d->mutable_embedding()->set_rows(kVocab);
    d->mutable_embedding()->set_size(kHidden);
    d = graph_.add_declarations();
    d->set_name("head");
    d->mutable_linear()->set_in(kHidden);
    d->mutable_linear()->set_out(kVocab);
    d->set_tied_to(1);
    d = graph_.add_declarations();
    d->set_name("proj");
    d->mutable_linear()->set_in(kHidden);
    d->mutable_linear()->set_out(kOut);
    d->mutable_linear()->set_bias(true);
    d = graph_.add_declarations();
    d->set_name("mlp");
    proto::Moe* moe = d->mutable_moe();
    moe->set_experts(kExperts);
    moe->set_hidden_size(kHidden);
    moe->set_intermediate_size(kInner);
    moe->set_gate("experts.{e}.gate_proj");
    moe->set_up("experts.{e}.up_proj");
    moe->set_down("experts.{e}.down_proj");
    tensors_ = testing::RandomTensors(graph_, 5);
    std::erase_if(tensors_, [](const auto& t) { return t.first == ".weight"; });
    tensors_.erase("head.weight");
  }

  absl::StatusOr<std::shared_ptr<const Weights>> Load(DType stored, DType dtype) {
    auto checkpoint = testing::WriteCheckpoint(dir_.path(), tensors_, stored);
    if (!checkpoint.ok()) return checkpoint.status();
    return LoadWeights(graph_, *std::move(checkpoint), {.dtype = dtype, .keep_types = true});
  }

  PackOptions Options(DType dtype, Quantization quantization = Quantization::kNone) {
    return {
        .dtype = dtype, .quantization = quantization, .cache = &cache_, .least_cached_bytes = 0};
  }

  // Of each linear and expert against ATen's over the checkpoint's values in `dtype`.
  double WorstDifference(const Weights& packed, DType dtype) {
    const at::ScalarType type = *ToScalarType(dtype);
    double worst = 0;
    const auto check = [&](const LinearWeight& linear, const std::string& name) {
      ASSERT_NE(linear.packed(), nullptr) << name;
      const at::Tensor w = tensors_.at(name + ".weight").to(type).to(at::kFloat);
      at::Tensor bias;
      if (tensors_.contains(name + ".bias"))
        bias = tensors_.at(name + ".bias").to(type).to(at::kFloat);
      const at::Tensor x = at::randn({7, w.size(1)}).to(type);
      const at::Tensor expected =
          bias.defined() ? at::linear(x.to(at::kFloat), w, bias) : at::linear(x.to(at::kFloat), w);
      worst = std::max(worst, Difference(linear.Apply(x), expected));
      EXPECT_EQ(linear.Apply(x.view({7, 1, w.size(1)})).sizes(),
                (at::IntArrayRef{7, 1, w.size(0)}));
    };
    check(packed.linear(2), "embed");
    check(packed.linear(3), "proj");
    const auto& experts = packed.of<ExpertWeights>(4).experts;
    for (size_t e = 0; e < experts.size(); ++e) {
      const std::string name = absl::StrCat("mlp.experts.", e);
      check(*experts[e].gate, name + ".gate_proj");
      check(*experts[e].up, name + ".up_proj");
      check(*experts[e].down, name + ".down_proj");
    }
    return worst;
  }

  testing::ScratchDir dir_, cache_dir_;
  WeightCache cache_{cache_dir_.path()};
  proto::Graph graph_;
  std::map<std::string, at::Tensor> tensors_;
};

TEST_F(PackTest, LinearsAndExpertsGiveTheirProductsInAnyType) {
  for (const DType stored : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const auto& [dtype, bound] : {std::pair(DType::kF32, 1e-5), std::pair(DType::kBF16, 1e-2),
                                       std::pair(DType::kF16, 2e-3)}) {
      tensors_ = testing::RandomTensors(graph_, 5);
      std::erase_if(tensors_, [](const auto& t) { return t.first == ".weight"; });
      tensors_.erase("head.weight");
      for (auto& [name, tensor] : tensors_)
        tensor = tensor.to(*ToScalarType(stored)).to(at::kFloat);
      KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(stored, dtype));
      KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed,
                                PackLinears(graph_, weights, {.dtype = dtype}));
      EXPECT_LT(WorstDifference(*packed.weights, dtype), bound);
      EXPECT_FALSE(packed.from_cache);
    }
  }
}

TEST_F(PackTest, QuantizedOnesGiveThemNearly) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kBF16));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed plain,
                            PackLinears(graph_, weights, {.dtype = DType::kBF16}));
  for (const auto& [quantization, bound, size] :
       {std::tuple(Quantization::kInt8, 0.02, 0.6),
        std::tuple(Quantization::kInt8Group128, 0.02, 0.6),
        std::tuple(Quantization::kW8A8, 0.04, 0.6), std::tuple(Quantization::kInt4, 0.15, 0.4),
        std::tuple(Quantization::kInt4Group64, 0.2, 0.4),
        std::tuple(Quantization::kInt4Group128, 0.2, 0.4)}) {
    SCOPED_TRACE(QuantizationName(quantization));
    KEEL_ASSERT_OK_AND_ASSIGN(
        const Packed packed,
        PackLinears(graph_, weights, {.dtype = DType::kBF16, .quantization = quantization}));
    EXPECT_LT(WorstDifference(*packed.weights, DType::kBF16), bound);
    EXPECT_LT(static_cast<double>(packed.bytes), size * static_cast<double>(plain.bytes));
  }
}

TEST_F(PackTest, EmbeddingsStayWhereTheyLie) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kBF16, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed,
                            PackLinears(graph_, weights, {.dtype = DType::kF32}));
  const at::Tensor& rows = packed.weights->of<EmbeddingWeight>(1).rows;
  EXPECT_EQ(rows.scalar_type(), at::kBFloat16);
  EXPECT_EQ(rows.const_data_ptr(), weights->of<EmbeddingWeight>(1).rows.const_data_ptr());
}

TEST_F(PackTest, WhatTwoNamesHaveIsPackedOnce) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto one, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed before, PackLinears(graph_, one, {.dtype = DType::kF32}));
  *graph_.add_declarations() = graph_.declarations(1);
  graph_.mutable_declarations(4)->set_name("second head");
  KEEL_ASSERT_OK_AND_ASSIGN(const auto two, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed, PackLinears(graph_, two, {.dtype = DType::kF32}));
  EXPECT_EQ(packed.bytes, before.bytes);
  ASSERT_NE(packed.weights->linear(5).packed(), nullptr);
  EXPECT_EQ(packed.weights->linear(5).packed()->weights,
            packed.weights->linear(2).packed()->weights);
  EXPECT_LT(WorstDifference(*packed.weights, DType::kF32), 1e-5);
}

TEST_F(PackTest, ProgressEndsWithAllBytes) {
  std::vector<std::pair<int64_t, int64_t>> told;
  PackOptions options{.dtype = DType::kF32};
  options.on_bytes = [&](int64_t done, int64_t total) { told.emplace_back(done, total); };
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed, PackLinears(graph_, weights, options));
  EXPECT_THAT(told, ElementsAre(std::pair(packed.bytes, packed.bytes)));
}

TEST_F(PackTest, TheSecondStartMapsWhatTheFirstPacked) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kBF16));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed first,
                            PackLinears(graph_, weights, Options(DType::kBF16)));
  KEEL_ASSERT_OK(cache_.Flush());
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed second,
                            PackLinears(graph_, weights, Options(DType::kBF16)));
  EXPECT_FALSE(first.from_cache);
  EXPECT_TRUE(second.from_cache);
  EXPECT_THAT(second.warnings, IsEmpty());
  const at::Tensor x = at::randn({3, kHidden}).to(at::kBFloat16);
  for (const uint32_t object : {2, 3})
    EXPECT_TRUE(
        first.weights->linear(object).Apply(x).equal(second.weights->linear(object).Apply(x)));
}

TEST_F(PackTest, OtherWeightsPartsAndTypesHaveOtherKeys) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK(PackLinears(graph_, weights, Options(DType::kF32)).status());
  KEEL_ASSERT_OK(cache_.Flush());
  PackOptions part = Options(DType::kF32);
  part.part = "rank 1 of 2";
  PackOptions splits = Options(DType::kF32);
  splits.splits = "rows of 2 packs";
  for (const PackOptions& options : {part, splits, Options(DType::kBF16)}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed, PackLinears(graph_, weights, options));
    EXPECT_FALSE(packed.from_cache);
  }
  KEEL_ASSERT_OK(cache_.Flush());
  // The same sizes and names, written anew.
  tensors_["proj.weight"] = tensors_["proj.weight"] * 2;
  KEEL_ASSERT_OK_AND_ASSIGN(const auto changed, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed,
                            PackLinears(graph_, changed, Options(DType::kF32)));
  EXPECT_FALSE(packed.from_cache);
  EXPECT_LT(WorstDifference(*packed.weights, DType::kF32), 1e-5);
}

TEST_F(PackTest, ADamagedFileIsPackedAnewWithAWarning) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK(PackLinears(graph_, weights, Options(DType::kF32)).status());
  KEEL_ASSERT_OK(cache_.Flush());
  for (const auto& entry : std::filesystem::directory_iterator(cache_.dir()))
    std::filesystem::resize_file(entry.path(), 5000);
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed,
                            PackLinears(graph_, weights, Options(DType::kF32)));
  EXPECT_FALSE(packed.from_cache);
  EXPECT_THAT(packed.warnings, ElementsAre(HasSubstr("packed anew")));
  EXPECT_LT(WorstDifference(*packed.weights, DType::kF32), 1e-5);
}

TEST_F(PackTest, ACacheThatCannotBeWrittenIsAWarning) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kF32));
  WeightCache cache(dir_.Write("file", "") + "/cache");
  PackOptions options = Options(DType::kF32);
  options.cache = &cache;
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed, PackLinears(graph_, weights, options));
  EXPECT_THAT(packed.warnings, ::testing::Not(IsEmpty()));
  EXPECT_LT(WorstDifference(*packed.weights, DType::kF32), 1e-5);
}

TEST_F(PackTest, PackedWeightsAreNotShardedAndRefuseOthersInputs) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto weights, Load(DType::kF32, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const Packed packed,
                            PackLinears(graph_, weights, {.dtype = DType::kF32}));
  const LinearWeight& linear = packed.weights->linear(3);
  EXPECT_THROW(linear.Shard({WeightSplit::kRows, 2}, 0), c10::Error);
  EXPECT_THROW(linear.Apply(at::randn({2, kHidden + 1})), c10::Error);
  EXPECT_THROW(linear.Apply(at::randn({2, kHidden}).to(at::kBFloat16)), c10::Error);
  EXPECT_EQ(linear.Apply(at::randn({0, kHidden})).sizes(), (at::IntArrayRef{0, kOut}));
}

}  // namespace
}  // namespace keel

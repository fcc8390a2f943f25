#include "core/ops/moe.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <vector>

#include "core/weights/packed_weight.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int64_t kHidden = 72, kInner = 100;

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return at::abs(a - b).max().item<double>();
}

LinearPtr Dense(int64_t in, int64_t out) {
  return std::make_shared<DenseLinear>(at::randn({out, in}) * 0.1, at::randn({out}),
                                       Numerics::kFastest);
}

// The same linear in panels.
LinearPtr Packed(const LinearPtr& dense) {
  if (dense == nullptr) return nullptr;
  const PlainLinear& plain = *dense->plain();
  PackedLinear linear{
      .format = {WeightType::kF32}, .n = plain.weight.size(0), .k = plain.weight.size(1)};
  auto memory = std::make_shared<at::Tensor>(
      at::empty({Panels(linear.n) * PanelBytes(linear.format, linear.k)}, at::kByte));
  PackPanels(linear.format,
             {KernelType::kF32, plain.weight.const_data_ptr(), linear.n, linear.k, linear.k}, 0,
             Panels(linear.n), memory->mutable_data_ptr());
  linear.weights = memory->const_data_ptr();
  linear.bias = plain.bias.const_data_ptr<float>();
  return std::make_shared<PackedLinearWeight>(linear, memory);
}

class MoeTest : public ::testing::Test {
 protected:
  MoeTest() {
    moe_.set_experts(6);
    moe_.set_top_k(3);
    moe_.set_act(KEEL_ACT_SILU);
  }

  void MakeExperts(bool has_gate) {
    for (int64_t e = 0; e < moe_.experts(); ++e) {
      ExpertWeights::Mlp mlp{has_gate ? Dense(kHidden, kInner) : nullptr, Dense(kHidden, kInner),
                             Dense(kInner, kHidden)};
      packed_.experts.push_back({Packed(mlp.gate), Packed(mlp.up), Packed(mlp.down)});
      dense_.experts.push_back(std::move(mlp));
    }
  }

  // Token by token and expert by expert.
  at::Tensor Expected(const at::Tensor& x, const Routing& routing) const {
    std::vector<at::Tensor> rows;
    for (int64_t t = 0; t < x.size(0); ++t) {
      const at::Tensor row = x.narrow(0, t, 1);
      at::Tensor sum = at::zeros_like(row);
      for (int64_t i = 0; i < routing.experts.size(1); ++i) {
        const auto e = routing.experts[t][i].item<int64_t>();
        const ExpertWeights::Mlp& mlp = dense_.experts[e];
        if (mlp.up == nullptr) continue;
        at::Tensor up = mlp.up->Apply(row);
        if (mlp.gate == nullptr) {
          up = at::silu(up);
        } else {
          at::Tensor gate = mlp.gate->Apply(row);
          if (moe_.limit() > 0) {
            gate = at::clamp_max(gate, moe_.limit());
            up = at::clamp(up, -moe_.limit(), moe_.limit());
          }
          up = at::silu(gate) * (up + moe_.up_offset());
        }
        sum = sum + mlp.down->Apply(up) * routing.weights[t][i];
      }
      rows.push_back(sum);
    }
    return at::cat(rows);
  }

  Routing RandomRouting(int64_t tokens) const {
    return {at::rand({tokens, moe_.experts()})
                .argsort(/*dim=*/1, /*descending=*/false)
                .narrow(1, 0, moe_.top_k()),
            at::rand({tokens, moe_.top_k()})};
  }

  void ExpectTheSame(int64_t tokens) {
    const at::Tensor x = at::randn({tokens, kHidden});
    const Routing routing = RandomRouting(tokens);
    const at::Tensor expected = Expected(x, routing);
    for (const ExpertWeights* weights : {&dense_, &packed_}) {
      EXPECT_LT(Difference(RunExperts(moe_, *weights, x, routing, Numerics::kFastest), expected),
                1e-4)
          << tokens << " tokens";
    }
  }

  proto::Moe moe_;
  ExpertWeights dense_, packed_;
};

TEST_F(MoeTest, ExpertsTogetherGiveWhatEachGivesAlone) {
  MakeExperts(/*has_gate=*/true);
  for (const int64_t tokens : {1, 2, 40}) ExpectTheSame(tokens);
}

TEST_F(MoeTest, SoDoThoseWithoutAGate) {
  MakeExperts(/*has_gate=*/false);
  for (const int64_t tokens : {1, 40}) ExpectTheSame(tokens);
}

TEST_F(MoeTest, ExpertsOfOtherRanksAddNothing) {
  MakeExperts(/*has_gate=*/true);
  for (const int64_t e : {0, 1, 4}) dense_.experts[e] = packed_.experts[e] = {};
  ExpectTheSame(40);
  const at::Tensor x = at::randn({2, kHidden});
  const Routing nobody{at::randint(0, 2, {2, 3}, at::kLong), at::rand({2, 3})};
  for (const ExpertWeights* weights : {&dense_, &packed_}) {
    const at::Tensor out = RunExperts(moe_, *weights, x, nobody, Numerics::kFastest);
    EXPECT_EQ(Difference(out, at::zeros_like(x)), 0);
  }
}

TEST_F(MoeTest, LimitsAndOffsetsAreThoseOfTheDeclaration) {
  MakeExperts(/*has_gate=*/true);
  moe_.set_limit(0.5);
  moe_.set_up_offset(1);
  ExpectTheSame(9);
}

}  // namespace
}  // namespace keel

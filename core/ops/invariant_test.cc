// Each op on a tensor of many rows against the same op on each row alone.
#include "core/ops/invariant.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>

#include <cstring>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "core/ops/moe.h"
#include "core/ops/norm.h"
#include "core/ops/rope.h"
#include "core/ops/tensor_ops.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using Op = std::function<at::Tensor(const at::Tensor&, Numerics)>;

proto::Node NodeOf(proto::Op op, std::initializer_list<int64_t> ints) {
  proto::Node node;
  node.set_op(op);
  for (const int64_t i : ints) node.add_ints(i);
  return node;
}

Op TensorOp(const proto::Node& node, bool takes_two = false) {
  return [=](const at::Tensor& x, Numerics numerics) {
    std::vector<at::Tensor> in = {x}, out;
    if (takes_two) in.push_back(x * 1.5);
    RunTensorOp(node, in, DType::kF32, numerics, &out);
    return out[0];
  };
}

Op NormOp(proto::Norm::Kind kind, bool cast_last, bool bias) {
  return [=](const at::Tensor& x, Numerics numerics) {
    proto::Norm norm;
    norm.set_kind(kind);
    norm.set_size(x.size(-1));
    norm.set_eps(1e-5);
    norm.set_cast_last(cast_last);
    const at::Tensor weight = x.select(0, 0).abs().fill_(1.25);
    return RunNorm(norm, {weight, bias ? weight : at::Tensor()}, x, numerics);
  };
}

at::Tensor CosOp(const at::Tensor& x, Numerics numerics) {
  proto::Rope rope;
  rope.set_rotary_size(20);
  for (int i = 0; i < 10; ++i) rope.add_inv_freq(1.0 / (1 + i));
  return MakeCosSin(rope, x.select(1, 0) * 100, {}, x.scalar_type(), numerics).cos;
}

at::Tensor RouteOp(const at::Tensor& x, Numerics) {
  proto::Moe moe;
  moe.set_experts(x.size(1));
  moe.set_top_k(5);
  moe.set_norm_topk(true);
  moe.set_scoring(KEEL_MOE_SOFTMAX);
  return RouteTokens(moe, {}, x).weights;
}

std::vector<std::pair<std::string, Op>> Ops() {
  std::vector<std::pair<std::string, Op>> ops = {
      {"softmax", TensorOp(NodeOf(proto::OP_SOFTMAX, {-1}))},
      {"sum", TensorOp(NodeOf(proto::OP_REDUCE, {-1, KEEL_REDUCE_SUM, 0}))},
      {"mean", TensorOp(NodeOf(proto::OP_REDUCE, {1, KEEL_REDUCE_MEAN, 1}))},
      {"cumsum", TensorOp(NodeOf(proto::OP_CUMSUM, {-1}))},
      {"add", TensorOp(NodeOf(proto::OP_ADD, {}), true)},
      {"mul", TensorOp(NodeOf(proto::OP_MUL, {}), true)},
      {"div", TensorOp(NodeOf(proto::OP_DIV, {}), true)},
      {"act_mul", TensorOp(NodeOf(proto::OP_ACT_MUL, {KEEL_ACT_SILU}), true)},
      {"rms_norm", NormOp(proto::Norm::RMS, false, false)},
      {"rms_norm, cast last", NormOp(proto::Norm::RMS, true, false)},
      {"layer_norm", NormOp(proto::Norm::LAYER, false, true)},
      {"rope", CosOp},
      {"route", RouteOp},
  };
  proto::Node affine = NodeOf(proto::OP_AFFINE, {});
  affine.add_reals(1.7);
  affine.add_reals(0.3);
  ops.emplace_back("affine", TensorOp(affine));
  for (const auto& [name, kind] : std::vector<std::pair<std::string, int64_t>>{
           {"exp", KEEL_UNARY_EXP},
           {"log", KEEL_UNARY_LOG},
           {"sqrt", KEEL_UNARY_SQRT},
           {"rsqrt", KEEL_UNARY_RSQRT},
           {"tanh", KEEL_UNARY_TANH},
           {"sigmoid", KEEL_UNARY_SIGMOID},
           {"softplus", KEEL_UNARY_SOFTPLUS},
           {"sin", KEEL_UNARY_SIN},
           {"cos", KEEL_UNARY_COS},
           {"silu", KEEL_UNARY_ACT + KEEL_ACT_SILU},
           {"gelu", KEEL_UNARY_ACT + KEEL_ACT_GELU},
           {"gelu_tanh", KEEL_UNARY_ACT + KEEL_ACT_GELU_TANH},
           {"relu2", KEEL_UNARY_ACT + KEEL_ACT_RELU2},
           {"quick_gelu", KEEL_UNARY_ACT + KEEL_ACT_QUICK_GELU}}) {
    ops.emplace_back(name, TensorOp(NodeOf(proto::OP_UNARY, {kind})));
  }
  return ops;
}

// NaNs (of log) included.
bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() &&
         std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

bool RowsKeepTheirBits(const Op& op, const at::Tensor& x, Numerics numerics) {
  const at::Tensor all = op(x, numerics);
  for (int64_t i = 0; i < x.size(0); ++i) {
    const at::Tensor alone = op(x.narrow(0, i, 1).clone(), numerics);
    if (!SameBits(alone, all.narrow(0, i, 1))) return false;
  }
  return true;
}

TEST(InvariantTest, EveryOpGivesARowTheSameBitsAloneAndAmongOthers) {
  std::string dependent;
  for (const auto& [name, op] : Ops()) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      // Rows that end in the middle of a vector, and more of them than one thread takes.
      for (const auto& [rows, size] :
           {std::pair<int64_t, int64_t>{3, 21}, {37, 45}, {5, 128}, {97, 899}}) {
        const at::Tensor x = at::randn({rows, size}).to(type);
        EXPECT_TRUE(RowsKeepTheirBits(op, x, Numerics::kInvariant))
            << name << " of " << c10::toString(type) << " [" << rows << ", " << size << "]";
        if (!RowsKeepTheirBits(op, x, Numerics::kFastest)) {
          dependent += std::string("\n  ") + name + " " + c10::toString(type) + " [" +
                       std::to_string(rows) + ", " + std::to_string(size) + "]";
        }
      }
    }
  }
  std::cout << "ATen's own depend on their place in:" << dependent << "\n";
}

TEST(InvariantTest, AStridedTensorGivesARowTheSameBitsAsADenseOne) {
  const at::Tensor wide = at::randn({9, 3 * 48}), x = wide.narrow(1, 48, 48);
  for (const auto& [name, op] : Ops()) {
    EXPECT_TRUE(SameBits(op(x, Numerics::kInvariant), op(x.clone(), Numerics::kInvariant))) << name;
    EXPECT_TRUE(RowsKeepTheirBits(op, x, Numerics::kInvariant)) << name;
  }
}

TEST(InvariantTest, AMatmulIsOneOfItsRows) {
  const Op op = [weight = at::randn({45, 33})](const at::Tensor& x, Numerics) {
    return MatmulInvariant(x, weight);
  };
  EXPECT_TRUE(RowsKeepTheirBits(op, at::randn({37, 45}), Numerics::kInvariant));
  const at::Tensor a = at::randn({3, 4, 5}), b = at::randn({3, 5, 6});
  EXPECT_LT((MatmulInvariant(a, b) - a.matmul(b)).abs().max().item<double>(), 1e-5);
}

TEST(InvariantTest, WhatAFunctionThrowsComesThrough) {
  const at::Tensor x = at::randn({1 << 18});
  EXPECT_THROW(InPieces(x, [](const at::Tensor& piece) { return piece.sum(); }), c10::Error);
  const auto fail = [](const at::Tensor&) -> at::Tensor { TORCH_CHECK(false, "no"); };
  EXPECT_THROW(RowByRow(at::randn({100, 4}), fail), c10::Error);
}

}  // namespace
}  // namespace keel

// Each pass on the smallest function that it changes, and on what it must leave alone.
#include "core/compile/passes.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <string>
#include <vector>

#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/compile/step_function.h"
#include "core/compile/testing.h"
#include "core/graph/op_attributes.h"
#include "core/ops/graph_attention.h"
#include "core/weights/packed_weight.h"
#include "core/weights/weights.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel::ir {
namespace {

using testing::Builder;
using ::testing::HasSubstr;
using ::testing::Not;

// [n, k], all zeros.
LinearPtr Packed(int64_t n, int64_t k) {
  PackedLinear linear{.format = {WeightType::kF32}, .n = n, .k = k};
  const auto memory = std::make_shared<const at::Tensor>(
      at::zeros({Panels(n) * PanelBytes(linear.format, k)}, at::kByte));
  linear.weights = memory->const_data_ptr();
  return std::make_shared<PackedLinearWeight>(linear, memory);
}

// A runner of a graph with a rope "rope", an attention "attn" of 2 heads of 8, an RMSNorm "norm" of 16 and two mixtures
// of 2 experts of 16 and 8, of which the first is packed.
class PassesTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kRope = 1, kAttention = 2, kNorm = 3, kPackedMoe = 4, kPlainMoe = 5;

  void SetUp() override {
    proto::Declaration* rope = graph_.add_declarations();
    rope->set_name("rope");
    rope->mutable_rope()->set_head_dim(8);
    rope->mutable_rope()->set_rotary_size(8);
    proto::Declaration* attention = graph_.add_declarations();
    attention->set_name("attn");
    proto::Attention& a = *attention->mutable_attention();
    a.set_heads(2), a.set_kv_heads(2), a.set_qk_dim(8), a.set_v_dim(8), a.set_scale(1);
    a.set_kv_share_layer(-1);
    proto::Declaration* norm = graph_.add_declarations();
    norm->set_name("norm");
    norm->mutable_norm()->set_size(16);
    for (int i = 0; i < 2; ++i) {
      proto::Moe& moe = *graph_.add_declarations()->mutable_moe();
      moe.set_experts(2), moe.set_top_k(1), moe.set_hidden_size(16), moe.set_intermediate_size(8);
      moe.set_act(KEEL_ACT_SILU);
    }
    proto::Function* forward = graph_.add_functions();
    forward->set_name("forward");
    proto::Node* node = forward->add_nodes();  // so that the attention's cache is this rank's
    node->set_op(proto::OP_ATTENTION);
    node->set_object(kAttention);
    auto weights = std::make_shared<Weights>();
    weights->objects.resize(2);
    weights->objects.emplace_back(NormWeight{});
    const ExpertWeights::Mlp packed = {nullptr, Packed(8, 16), Packed(16, 8)};
    weights->objects.emplace_back(ExpertWeights{{packed, packed}, {}});
    const auto plain = [](int64_t n, int64_t k) {
      return std::make_shared<DenseLinear>(at::zeros({n, k}), at::Tensor(), Numerics::kFastest);
    };
    const ExpertWeights::Mlp dense = {nullptr, plain(8, 16), plain(16, 8)};
    weights->objects.emplace_back(ExpertWeights{{dense, dense}, {}});
    constexpr KvFormat kKv = {.dtype = DType::kF32, .block_size = 4};
    KEEL_ASSERT_OK_AND_ASSIGN(
        const std::vector<AttentionChoice> choices,
        ChooseAttentions(graph_, AttentionWish{}, registry_, DType::kF32, kKv));
    KEEL_ASSERT_OK_AND_ASSIGN(
        ops_, OpRunner::Create(graph_, std::move(weights), choices, PluginKernels{}, DType::kF32,
                               kKv, Numerics::kFastest));
  }

  static proto::Node Of(proto::Op op, uint32_t object = 0) { return op::MakeNode(op, object); }

  // [N, 16] as [N, 2, 8].
  static ValueId Heads(Builder& b, ValueId x) {
    return AddView(b.function, x, {proto::F32, {testing::kN, {2, "", 1}, {8, "", 1}}},
                   {0, {{16, "", 1}, {8, "", 1}, {1, "", 1}}});
  }
  static ValueId HeadsOp(Builder& b, proto::Node node, std::vector<ValueId> inputs) {
    Op op{Code::kNode, std::move(node), std::move(inputs), {}, {}};
    op.outputs.push_back(AddValue(b.function, {proto::F32, {testing::kN, {2, "", 1}, {8, "", 1}}}));
    b.function.ops.push_back(std::move(op));
    return b.function.ops.back().outputs[0];
  }

  proto::Graph graph_;
  AttentionRegistry registry_;
  std::unique_ptr<OpRunner> ops_;
};

TEST_F(PassesTest, LinearsOfOneInputAreGrouped) {
  Builder b;
  const ValueId x = b.Input("x", 16), y = b.Input("y", 16);
  const ValueId gate = b.Linear('a', x, 32), other = b.Linear('b', y, 32);
  const ValueId up = b.Linear('c', x, 32);
  b.function.outputs = {b.Sum(b.Sum(gate, up, 32), other, 32)};
  KEEL_ASSERT_OK(GroupLinears(b.function, *ops_));
  EXPECT_THAT(b.Text(), HasSubstr("linears a, c (x)"));
  EXPECT_THAT(b.Text(), HasSubstr("linears b (y)"));
  EXPECT_EQ(b.function.ops.size(), 4u);
}

TEST_F(PassesTest, AResidualIsAddedByTheLinear) {
  Builder b;
  const ValueId x = b.Input("x", 16);
  const ValueId down = b.Linear('a', x, 16);
  const ValueId late = b.Node(Of(proto::OP_UNARY), {x}, 16);  // made between the two
  b.function.outputs = {b.Sum(late, down, 16)};
  KEEL_ASSERT_OK(FuseResidual(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 2u);
  EXPECT_EQ(b.function.ops[1].code, Code::kLinears);
  EXPECT_EQ(b.function.ops[1].inputs, (std::vector<ValueId>{x, late}));
  EXPECT_EQ(b.function.ops[1].outputs, b.function.outputs);
}

TEST_F(PassesTest, AResidualIsNotAddedWhereTheLinearIsReadElsewhere) {
  Builder b;
  const ValueId x = b.Input("x", 16), y = b.Linear('a', x, 16);
  b.function.outputs = {b.Sum(x, y, 16), y};
  KEEL_ASSERT_OK(FuseResidual(b.function, *ops_));
  EXPECT_EQ(b.function.ops.size(), 2u);
  Builder twice;  // y + y
  const ValueId z = twice.Linear('a', twice.Input("x", 16), 16);
  twice.function.outputs = {twice.Sum(z, z, 16)};
  KEEL_ASSERT_OK(FuseResidual(twice.function, *ops_));
  EXPECT_EQ(twice.function.ops.size(), 2u);
}

TEST_F(PassesTest, ASumAndItsNormAreOne) {
  Builder b;
  const ValueId x = b.Input("x", 16), y = b.Input("y", 16);
  const ValueId sum = b.Sum(x, y, 16), norm = b.Node(Of(proto::OP_NORM, kNorm), {sum}, 16);
  b.function.outputs = {b.Sum(sum, norm, 16)};
  KEEL_ASSERT_OK(FuseAddNorm(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 2u);
  EXPECT_EQ(b.function.ops[0].code, Code::kAddNorm);
  EXPECT_EQ(b.function.ops[0].outputs, (std::vector<ValueId>{sum, norm}));
}

TEST_F(PassesTest, AnActivationAndAProductAreOne) {
  Builder b;
  const ValueId x = b.Input("x", 16), y = b.Input("y", 16);
  const ValueId act = b.Node(op::Unary::Make(KEEL_UNARY_ACT + KEEL_ACT_RELU), {x}, 16);
  const ValueId tanh = b.Node(op::Unary::Make(KEEL_UNARY_TANH), {y}, 16);
  const ValueId first = b.Node(Of(proto::OP_MUL), {y, act}, 16);
  b.function.outputs = {b.Node(Of(proto::OP_MUL), {first, tanh}, 16)};
  KEEL_ASSERT_OK(FuseActMul(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 3u);
  EXPECT_TRUE(b.function.ops[1].Is(proto::OP_ACT_MUL));
  EXPECT_EQ(op::ActMul(b.function.ops[1].node).act(), KEEL_ACT_RELU);
  EXPECT_EQ(b.function.ops[1].inputs, (std::vector<ValueId>{x, y}));
  EXPECT_TRUE(b.function.ops[2].Is(proto::OP_MUL));
}

TEST_F(PassesTest, AttentionIsTakenApartAndRotatesOnItsWay) {
  Builder b;
  b.graph = graph_;
  const ValueId positions = AddInput(b.function, "positions", {proto::I64, {testing::kN}});
  const ValueId q = HeadsOp(b, Of(proto::OP_ROPE, kRope), {Heads(b, b.Input("q", 16)), positions});
  const ValueId k = HeadsOp(b, Of(proto::OP_ROPE, kRope), {Heads(b, b.Input("k", 16)), positions});
  const ValueId out =
      HeadsOp(b, Of(proto::OP_ATTENTION, kAttention), {q, k, Heads(b, b.Input("v", 16))});
  b.function.outputs = {out};
  KEEL_ASSERT_OK(PagedAttention(b.function, *ops_));
  EXPECT_THAT(b.Text(), HasSubstr("write_kv attn ("));
  EXPECT_THAT(b.Text(), HasSubstr("= attend attn (%"));
  KEEL_ASSERT_OK(FuseRopeWrite(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 2u);
  EXPECT_EQ(b.function.ops[0].code, Code::kRopeWrite);
  EXPECT_EQ(b.function.ops[0].outputs, std::vector<ValueId>{q});
  EXPECT_EQ(b.function.ops[1].inputs, std::vector<ValueId>{q});
}

TEST_F(PassesTest, KeysThatAreReadElsewhereAreRotatedInMemory) {
  Builder b;
  b.graph = graph_;
  const ValueId positions = AddInput(b.function, "positions", {proto::I64, {testing::kN}});
  const ValueId q = HeadsOp(b, Of(proto::OP_ROPE, kRope), {Heads(b, b.Input("q", 16)), positions});
  const ValueId k = HeadsOp(b, Of(proto::OP_ROPE, kRope), {Heads(b, b.Input("k", 16)), positions});
  b.function.outputs = {
      HeadsOp(b, Of(proto::OP_ATTENTION, kAttention), {q, k, Heads(b, b.Input("v", 16))}), k};
  KEEL_ASSERT_OK(PagedAttention(b.function, *ops_));
  KEEL_ASSERT_OK(FuseRopeWrite(b.function, *ops_));
  EXPECT_THAT(b.Text(), HasSubstr("rope rope"));
  EXPECT_THAT(b.Text(), Not(HasSubstr("rope_write")));
}

TEST_F(PassesTest, RowsAreGatheredBeforeWhatGoesByRow) {
  Builder b;
  const ValueId rows = AddInput(b.function, kLogitRows, {proto::I64, {testing::kR}});
  const ValueId x = b.Linear('a', b.Input("x", 16), 16);
  const ValueId mlp = b.Linear('c', b.Linear('b', x, 32), 16);
  const ValueId h = b.Sum(x, mlp, 16);
  TensorType type = Builder::Rows(16);
  type.dims[0] = testing::kR;
  const ValueId gathered = AddValue(b.function, std::move(type));
  b.function.ops.push_back({Code::kGather, {}, {h, rows}, {gathered}, {}});
  b.function.outputs = {gathered};
  KEEL_ASSERT_OK(GatherEarly(b.function, *ops_));
  // Before the first linear, once: both that read x want its rows.
  ASSERT_EQ(b.function.ops.size(), 5u) << b.Text();
  EXPECT_EQ(b.function.ops[0].code, Code::kGather);
  EXPECT_EQ(b.function.values[b.function.ops[0].inputs[0]].name, "x");
  for (size_t i = 1; i < 5; ++i)
    EXPECT_EQ(b.function.type(b.function.ops[i].outputs[0]).dims[0], testing::kR);
  EXPECT_EQ(b.function.outputs, std::vector<ValueId>{h});
}

TEST_F(PassesTest, RowsAreGatheredBehindWhatIsReadOfAllTokens) {
  Builder b;
  const ValueId rows = AddInput(b.function, kLogitRows, {proto::I64, {testing::kR}});
  const ValueId x = b.Linear('a', b.Input("x", 16), 16);
  TensorType type = Builder::Rows(16);
  type.dims[0] = testing::kR;
  const ValueId gathered = AddValue(b.function, std::move(type));
  b.function.ops.push_back({Code::kGather, {}, {x, rows}, {gathered}, {}});
  b.function.outputs = {gathered, x};
  KEEL_ASSERT_OK(GatherEarly(b.function, *ops_));
  EXPECT_EQ(b.function.ops[1].code, Code::kGather);
  EXPECT_EQ(b.function.type(x).dims[0], testing::kN);
}

TEST_F(PassesTest, BothHalvesOfAValueAreGatheredBeforeTheirReader) {
  Builder b;
  const ValueId rows = AddInput(b.function, kLogitRows, {proto::I64, {testing::kR}});
  const ValueId both = b.Linear('a', b.Input("x", 16), 32);
  const Layout left{0, b.function.values[both].layout.strides};
  const Layout right{16, left.strides};
  const ValueId gate = AddView(b.function, both, Builder::Rows(16), left);
  const ValueId up = AddView(b.function, both, Builder::Rows(16), right);
  const ValueId sum = b.Sum(gate, up, 16);
  TensorType type = Builder::Rows(16);
  type.dims[0] = testing::kR;
  const ValueId gathered = AddValue(b.function, std::move(type));
  b.function.ops.push_back({Code::kGather, {}, {sum, rows}, {gathered}, {}});
  b.function.outputs = {gathered};
  KEEL_ASSERT_OK(GatherEarly(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 4u) << b.Text();
  EXPECT_TRUE(b.function.ops.back().Is(proto::OP_ADD)) << b.Text();
  for (const ValueId id : b.function.ops.back().inputs)
    EXPECT_EQ(b.function.type(id).dims[0], testing::kR);
}

TEST_F(PassesTest, MixturesOfPackedExpertsAreTakenApart) {
  Builder b;
  const ValueId x = b.Input("x", 16), logits = b.Input("logits", 2);
  const ValueId packed = b.Node(Of(proto::OP_MOE, kPackedMoe), {x, logits}, 16);
  b.function.outputs = {b.Node(Of(proto::OP_MOE, kPlainMoe), {packed, logits}, 16)};
  KEEL_ASSERT_OK(SplitMixtures(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 3u) << b.Text();
  const Op &route = b.function.ops[0], &experts = b.function.ops[1];
  EXPECT_EQ(route.code, Code::kRoute);
  EXPECT_EQ(route.inputs, std::vector<ValueId>{logits});
  EXPECT_EQ(experts.code, Code::kExperts);
  EXPECT_EQ(experts.inputs, (std::vector<ValueId>{x, route.outputs[0], route.outputs[1]}));
  EXPECT_EQ(experts.outputs[0], packed);
  EXPECT_TRUE(b.function.ops[2].Is(proto::OP_MOE));
}

TEST_F(PassesTest, WhatNobodyReadsGoesAndWhatWritesStays) {
  Builder b;
  const ValueId x = b.Input("x", 16);
  b.Linear('a', b.Linear('b', x, 16), 16);
  b.function.ops.push_back({Code::kWriteKv, Of(proto::OP_ATTENTION, 1), {x, x}, {}, {}});
  b.function.outputs = {b.Linear('c', x, 16)};
  KEEL_ASSERT_OK(RemoveDead(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 2u);
  EXPECT_EQ(b.function.ops[0].code, Code::kWriteKv);
}

TEST_F(PassesTest, ConstantsAreFoldedAndSoAreViewsOfThem) {
  Builder b;
  const ValueId a = AddConstant(b.function, at::arange(6).to(at::kFloat));
  const ValueId doubled = b.Node(op::Affine::Make(2, 1), {a}, 6);
  b.function.values[doubled].type = b.function.values[a].type;
  b.function.values[doubled].layout = b.function.values[a].layout;
  const ValueId tail = AddView(b.function, doubled, {proto::F32, {{2, "", 1}}}, {4, {{1, "", 1}}});
  b.function.outputs = {b.Sum(b.Input("x", 2), tail, 2)};
  KEEL_ASSERT_OK(FoldConstants(b.function, *ops_));
  ASSERT_EQ(b.function.ops.size(), 1u);
  EXPECT_EQ(b.function.values[tail].kind, Value::Kind::kConstant);
  EXPECT_EQ(b.function.values[doubled].constant[4].item<float>(), 9);
}

}  // namespace
}  // namespace keel::ir

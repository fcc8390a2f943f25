// Random graphs against the proof that rows of a batch don't mix: where VerifyGraph says yes, two
// batches that differ in one sequence give the other sequences the same bits. Seeded: a failure
// comes again.
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/testing.h"
#include "core/graph/verifier.h"
#include "core/weights/testing.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int kGraphs = 800;
constexpr int kMaxOps = 8;  // of a graph, before what leads to its output
constexpr int kTries = 60;  // for one op, until its operands fit
constexpr int64_t kHidden = 64, kVocab = 128;
constexpr int32_t kBlockSize = 4;

void DeclareExtras(keel_build* b) {
  const int64_t square[] = {64, 64}, row[] = {64};
  b->api->param(b, {"square", 6}, KEEL_DTYPE_MODEL, 2, square);
  b->api->param(b, {"row", 3}, KEEL_DTYPE_MODEL, 1, row);
  b->api->embedding(b, {"table", 5}, 64, 64, 0);
  // A state for each recurrence: what it is given comes by AddRecurrence.
  const int64_t taps[] = {64, 4}, heads[] = {4};
  b->api->param(b, {"taps", 4}, KEEL_DTYPE_MODEL, 2, taps);
  b->api->param(b, {"decay", 5}, KEEL_DTYPE_MODEL, 1, heads);
  for (int32_t layer = 0; layer < 2; ++layer) {
    keel_state_desc conv{}, ssm{};
    conv.struct_size = ssm.struct_size = sizeof(conv), conv.layer = ssm.layer = layer;
    conv.kind = KEEL_STATE_CONV, conv.ndim = 2, conv.dims[0] = 64, conv.dims[1] = 3;
    ssm.kind = KEEL_STATE_SSM, ssm.ndim = 3;
    ssm.dims[0] = 4, ssm.dims[1] = 16, ssm.dims[2] = 8;
    b->api->state(b, layer == 0 ? keel_str{"conv.0", 6} : keel_str{"conv.1", 6}, &conv);
    b->api->state(b, layer == 0 ? keel_str{"ssm.0", 5} : keel_str{"ssm.1", 5}, &ssm);
  }
  // Convolutions: of single rows, and across them.
  for (const int64_t kernel : {1, 3}) {
    keel_conv_desc conv{};
    conv.struct_size = sizeof(conv), conv.ndim = 1, conv.in = conv.out = 64;
    conv.kernel[0] = kernel, conv.stride[0] = 1, conv.padding[0] = kernel / 2;
    b->api->conv(b, kernel == 1 ? keel_str{"point", 5} : keel_str{"wide", 4}, &conv);
  }
}

class RandomForward {
 public:
  RandomForward(const proto::Graph& base, std::mt19937& random) : graph_(base), random_(random) {
    graph_.clear_functions();
    function_.set_name("forward");
    AddInput("embeds", {proto::MODEL, {{1, "N", 1}, {kHidden, "", 1}}});
    AddInput("positions", {proto::I64, {{1, "N", 1}}});
  }

  proto::Graph Make() {
    const int ops = 1 + Below(kMaxOps);
    for (int i = 0; i < ops; ++i) AddRandom();
    uint32_t out = 1;
    const uint32_t made = static_cast<uint32_t>(types_.size());
    for (uint32_t v = 3; v <= made; ++v) {
      if (!used_[v - 1]) out = Join(out, v);
    }
    function_.add_outputs(out);
    *graph_.add_functions() = std::move(function_);
    return std::move(graph_);
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % n); }
  uint32_t AnyValue() { return 1 + Below(static_cast<int>(types_.size())); }
  int64_t AnyDim() { return Below(6) - 3; }
  const TensorType& type(uint32_t v) const { return types_[v - 1]; }

  void AddInput(const char* name, TensorType type) {
    function_.add_inputs()->set_name(name);
    *function_.mutable_inputs(function_.inputs_size() - 1)->mutable_type() = ToProto(type);
    types_.push_back(std::move(type));
    used_.push_back(true);
  }

  // The first output, or 0 when its operands don't fit.
  uint32_t Add(proto::Node node, const std::vector<uint32_t>& inputs) {
    std::vector<const TensorType*> in;
    for (const uint32_t v : inputs) in.push_back(&type(v));
    node.clear_inputs();
    node.mutable_inputs()->Add(inputs.begin(), inputs.end());
    absl::StatusOr<std::vector<TensorType>> out = InferTypes(graph_, node, in);
    if (!out.ok()) return 0;
    const uint32_t first = static_cast<uint32_t>(types_.size()) + 1;
    node.clear_types();
    for (TensorType& t : *out) {
      *node.add_types() = ToProto(t);
      types_.push_back(std::move(t));
      node.add_outputs(static_cast<uint32_t>(types_.size()));
      used_.push_back(node.op() == proto::OP_TOPK);
    }
    for (const uint32_t v : inputs) used_[v - 1] = true;
    *function_.add_nodes() = std::move(node);
    return first;
  }

  uint32_t Object(const char* name) const {
    for (int i = 0; i < graph_.declarations_size(); ++i) {
      if (graph_.declarations(i).name() == name) return static_cast<uint32_t>(i + 1);
    }
    return 0;
  }

  // A recurrence over [*, 64] values that are there, if its state is free and they fit.
  void AddRecurrence() {
    static constexpr const char* kStates[] = {"conv.0", "ssm.0", "conv.1", "ssm.1"};
    const int which = Below(4);
    const uint32_t state = Object(kStates[which]), x = AnyValue(), y = Below(2) ? x : AnyValue();
    if (Uses(proto::OP_RECUR, state)) return;
    const auto part = [&](uint32_t v, int64_t begin, int64_t size) {
      return v == 0 ? 0 : Add(op::Narrow::Make(-1, begin, size), {v});
    };
    const auto view = [&](uint32_t v, std::vector<int64_t> dims) {
      return v == 0 ? 0 : Add(op::View::Make(dims), {v});
    };
    proto::Node node =
        op::Recur::Make(state, which % 2 == 0 ? KEEL_RECUR_CAUSAL_CONV1D : KEEL_RECUR_SSD);
    std::vector<uint32_t> inputs;
    if (which % 2 == 0) {
      op::Arguments::AddTensor(node, "weight", 0);
      inputs = {x, Add(op::MakeNode(proto::OP_PARAM, Object("taps")), {})};
    } else {
      inputs = {view(x, {0, 4, 16}), part(y, 0, 4),
                Add(op::MakeNode(proto::OP_PARAM, Object("decay")), {}),
                view(part(x, 8, 8), {0, 1, 8}), view(part(y, 16, 8), {0, 1, 8})};
      int position = 0;
      for (const char* name : {"dt", "A", "B", "C"})
        op::Arguments::AddTensor(node, name, position++);
    }
    for (const uint32_t v : inputs) {
      if (v == 0) return;
    }
    Add(std::move(node), inputs);
  }

  void AddRandom() {
    if (Below(6) == 0) return AddRecurrence();
    for (int i = 0; i < kTries; ++i) {
      std::vector<uint32_t> inputs;
      const proto::Node node = RandomNode(&inputs);
      if (node.op() == proto::OP_ATTENTION && Uses(node.op(), node.object())) continue;
      if (Add(node, inputs) != 0) return;
    }
  }

  bool Uses(proto::Op op, uint32_t object) const {
    for (const proto::Node& node : function_.nodes()) {
      if (node.op() == op && node.object() == object) return true;
    }
    return false;
  }

  std::vector<int64_t> AnyShape() {
    static const std::vector<std::vector<int64_t>> shapes = {
        {0, 4, 16}, {-1, 64}, {0, -1}, {-1, 16}, {-1, 128}, {-1}, {0, 64, 1}, {4, -1}, {1, 0, 64}};
    return shapes[Below(static_cast<int>(shapes.size()))];
  }

  proto::Node RandomNode(std::vector<uint32_t>* inputs) {
    const auto unary = [&](proto::Node node) {
      *inputs = {AnyValue()};
      return node;
    };
    const auto binary = [&](proto::Node node) {
      *inputs = {AnyValue(), AnyValue()};
      return node;
    };
    const uint32_t object = 1 + Below(graph_.declarations_size());
    switch (Below(31)) {
      case 0:
        return unary(op::MakeNode(proto::OP_LINEAR, object));
      case 1:
        return unary(op::MakeNode(proto::OP_NORM, object));
      case 2:
        return binary(op::MakeNode(proto::OP_ROPE, object));
      case 3: {
        const uint32_t q = AnyValue(), k = AnyValue(), v = AnyValue();
        *inputs = {q, k, Below(2) ? k : v};
        return op::MakeNode(proto::OP_ATTENTION, object);
      }
      case 4:
        *inputs = {};
        return op::MakeNode(proto::OP_PARAM, object);
      case 5:
        return unary(op::MakeNode(proto::OP_EMBED, object));
      case 6:
        return binary(op::MakeNode(proto::OP_ADD));
      case 7:
        return binary(op::MakeNode(proto::OP_SUB));
      case 8:
        return binary(op::MakeNode(proto::OP_MUL));
      case 9:
        return unary(op::Affine::Make(0.5, 0.25));
      case 10:
        return unary(op::Unary::Make(Below(2) ? KEEL_UNARY_TANH : KEEL_UNARY_SIGMOID));
      case 11:
        return binary(op::ActMul::Make(KEEL_ACT_SILU));
      case 12:
      case 13:
        return binary(op::MakeNode(proto::OP_MATMUL));
      case 14:
        return unary(op::AlongDim::Make(proto::OP_SOFTMAX, AnyDim()));
      case 15:
        return unary(op::AlongDim::Make(proto::OP_CUMSUM, AnyDim()));
      case 16:
        return unary(op::Reduce::Make(AnyDim(), Below(3), Below(2) != 0));
      case 17:
        return unary(op::TopK::Make(1 + Below(4)));
      case 18:
        return unary(op::View::Make(AnyShape()));
      case 19: {
        static const std::vector<std::vector<int32_t>> orders = {{1, 0}, {1, 0, 2}, {0, 2, 1}};
        return unary(op::Permute::Make(orders[Below(3)]));
      }
      case 20:
        return unary(op::Narrow::Make(AnyDim(), Below(3), 1 + Below(16)));
      case 21:
        return unary(op::Repeat::Make(AnyDim(), 1 + Below(3)));
      case 22:
        return binary(op::MakeNode(proto::OP_GATHER_ROWS));
      case 23:
        return binary(op::OfKind::Make(proto::OP_COMPARE, Below(6)));
      case 24:
        return binary(op::OfKind::Make(proto::OP_BINARY, Below(2)));
      case 25:
        return binary(op::AlongDim::Make(proto::OP_TAKE, AnyDim()));
      case 26:
        return binary(op::MakeNode(proto::OP_EXPAND));
      case 27:
        return unary(op::MakeNode(proto::OP_CONV, Object(Below(2) ? "point" : "wide")));
      case 28:
        *inputs = {AnyValue(), AnyValue(), AnyValue()};
        return op::AlongDim::Make(proto::OP_SCATTER, AnyDim());
      case 29:
        *inputs = {AnyValue(), AnyValue(), AnyValue()};
        return op::MakeNode(proto::OP_PUT_ROWS);
      default: {
        const uint32_t x = AnyValue(), y = Below(2) ? x : AnyValue();
        *inputs = {x, y};
        return op::AlongDim::Make(proto::OP_CAT, AnyDim());
      }
    }
  }

  // out + tanh(something of every element of v): so that all that was made reaches the output.
  uint32_t Join(uint32_t out, uint32_t v) {
    if (type(v).dtype != proto::MODEL) v = Add(op::Cast::Make(proto::MODEL), {v});
    for (int d = type(v).rank() - 1; d >= 0; --d) {
      if (type(v).dims[d].symbolic()) continue;
      v = Add(op::Reduce::Make(d, KEEL_REDUCE_MEAN, false), {v});
    }
    if (type(v).rank() == 0) {
      v = Add(op::View::Make(std::vector<int64_t>{1}), {v});
    } else if (type(v).rank() == 1) {
      const int64_t parts = type(v).dims[0].size;
      v = Add(op::View::Make(std::vector<int64_t>{-1, parts}), {v});
      v = v == 0 ? 0 : Add(op::Reduce::Make(1, KEEL_REDUCE_MEAN, true), {v});
    } else {
      v = 0;  // [N, N]: left unused, which is refused as well
    }
    if (v == 0) return out;
    v = Add(op::Unary::Make(KEEL_UNARY_TANH), {v});
    const uint32_t sum = Add(op::MakeNode(proto::OP_ADD), {out, v});
    return sum == 0 ? out : sum;
  }

  proto::Graph graph_;
  std::mt19937& random_;
  proto::Function function_;
  std::vector<TensorType> types_;
  std::vector<bool> used_;
};

class RowsFuzzTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel model,
                              testing::RecordTinyModel({.declare = DeclareExtras}));
    graph_ = model.graph;
    KEEL_ASSERT_OK_AND_ASSIGN(
        checkpoint_, testing::WriteCheckpoint(dir_.path(), testing::RandomTensors(graph_, 5)));
  }

  static bool HasOp(const proto::Graph& graph, proto::Op op) {
    const auto& nodes = graph.functions(0).nodes();
    return std::any_of(nodes.begin(), nodes.end(),
                       [&](const auto& node) { return node.op() == op; });
  }

  // Logits of every token of a batch of whole sequences, or what the executor can't do.
  absl::StatusOr<at::Tensor> Logits(const proto::Graph& graph,
                                    const std::vector<std::vector<int32_t>>& sequences) {
    ExecutorOptions options;
    options.block_size = kBlockSize;
    options.deterministic = true;
    auto executor = Executor::Create(graph, checkpoint_, registry_, options);
    if (!executor.ok()) return executor.status();
    const size_t groups = (*executor)->cache_layout().groups.size();
    const std::vector<int32_t> blocks(groups, 16);
    const int32_t slots = (*executor)->cache_layout().state_bytes > 0 ? 4 : 0;
    if (absl::Status status = (*executor)->AllocateCache(blocks, slots); !status.ok())
      return status;
    Batch batch;
    int32_t next = 0;
    for (const std::vector<int32_t>& ids : sequences) {
      const std::vector<int32_t> own = {next, next + 1};
      next += 2;
      const auto slot = static_cast<int32_t>(batch.sequences.size());
      batch.sequences.push_back(
          {0, static_cast<int32_t>(ids.size()), slots > 0 ? slot : -1, std::vector(groups, own)});
      for (const int32_t id : ids) {
        batch.logit_rows.push_back(static_cast<int32_t>(batch.token_ids.size()));
        batch.token_ids.push_back(id);
      }
    }
    absl::StatusOr<at::Tensor> out = (*executor)->Step(batch);
    if (!out.ok()) return out.status();
    return out->clone();
  }

  // Whether the rows of the first and the last sequence differ when the one between them does;
  // none: the executor can't run it.
  std::optional<bool> OthersDiffer(const proto::Graph& graph) {
    const std::vector<int32_t> first = {3, 1, 4, 1, 5}, last = {9, 2, 6};
    const auto a = Logits(graph, {first, {7, 7, 7, 7}, last});
    const auto b = Logits(graph, {first, {11, 90, 3, 25}, last});
    const auto c = Logits(graph, {first, {90, 25}, last});
    if (!a.ok() || !b.ok() || !c.ok()) return std::nullopt;
    const auto same = [&](const at::Tensor& x, int64_t x_row, const at::Tensor& y, int64_t y_row,
                          size_t rows) {
      const float* p = x.const_data_ptr<float>() + x_row * kVocab;
      const float* q = y.const_data_ptr<float>() + y_row * kVocab;
      return std::memcmp(p, q, rows * kVocab * sizeof(float)) == 0;
    };
    return !(same(*a, 0, *b, 0, first.size()) && same(*a, 0, *c, 0, first.size()) &&
             same(*a, 9, *b, 9, last.size()) && same(*a, 9, *c, 7, last.size()));
  }

  proto::Graph graph_;
  testing::ScratchDir dir_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  AttentionRegistry registry_;
};

TEST_F(RowsFuzzTest, WhatTheProofAcceptsGivesOtherSequencesTheSameBits) {
  std::mt19937 random(20261129);
  int recurrent = 0, convolved = 0, accepted = 0, run = 0, refused = 0, refused_and_mixing = 0;
  for (int i = 0; i < kGraphs; ++i) {
    const proto::Graph graph = RandomForward(graph_, random).Make();
    const absl::Status verified = VerifyGraph(graph);
    if (verified.ok()) {
      ++accepted;
      const std::optional<bool> differ = OthersDiffer(graph);
      run += differ.has_value();
      recurrent += differ.has_value() && HasOp(graph, proto::OP_RECUR);
      convolved += differ.has_value() && HasOp(graph, proto::OP_CONV);
      EXPECT_FALSE(differ.value_or(false))
          << "graph " << i << ": " << graph.functions(0).DebugString();
    } else if (absl::StrContains(verified.message(), "could mix") && ++refused % 4 == 0) {
      refused_and_mixing += OthersDiffer(graph).value_or(false);
    }
  }
  std::printf(
      "accepted %d, of them run %d (%d with recurrences, %d with convolutions); refused %d, of a "
      "quarter of them %d mix\n",
      accepted, run, recurrent, convolved, refused, refused_and_mixing);
  EXPECT_GE(recurrent, 20);
  EXPECT_GE(convolved, 5);
  EXPECT_GE(run, kGraphs / 8) << "too few graphs are run to say anything";
  EXPECT_GE(refused_and_mixing, 5) << "what is refused should mix, or the test sees nothing";
}

}  // namespace
}  // namespace keel

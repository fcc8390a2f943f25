#include "core/ops/ops.h"

#include <ATen/ops/conv1d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv3d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/types.h"
#include "core/ops/args.h"
#include "core/ops/graph_attention.h"
#include "core/ops/invariant.h"
#include "core/ops/moe.h"
#include "core/ops/norm.h"
#include "core/ops/recur.h"
#include "core/ops/served.h"
#include "core/ops/tensor_ops.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using proto::Declaration;

at::Tensor RunConv(const proto::Conv& conv, const ConvWeight& w, const at::Tensor& x) {
  const int nd = conv.kernel_size();
  const auto list = [](const auto& field) { return at::IntArrayRef(field.data(), field.size()); };
  const int64_t groups = std::max<int64_t>(1, conv.groups());
  const std::vector<int64_t> dilation(nd, 1);
  const std::optional<at::Tensor> bias =
      w.bias.defined() ? std::optional<at::Tensor>(w.bias) : std::nullopt;
  // [N, in] is one row of N positions.
  const bool one_row = nd == 1 && x.dim() == 2;
  const at::Tensor in = one_row ? x.transpose(0, 1).unsqueeze(0) : x;
  at::Tensor out;
  switch (nd) {
    case 1:
      out = at::conv1d(in, w.weight, bias, list(conv.stride()), list(conv.padding()), dilation,
                       groups);
      break;
    case 2:
      out = at::conv2d(in, w.weight, bias, list(conv.stride()), list(conv.padding()), dilation,
                       groups);
      break;
    default:
      TORCH_CHECK(nd == 3, "a convolution of ", nd, " dimensions");
      out = at::conv3d(in, w.weight, bias, list(conv.stride()), list(conv.padding()), dilation,
                       groups);
  }
  return one_row ? out.squeeze(0).transpose(0, 1).contiguous() : out;
}

}  // namespace

std::vector<StateSpec> StateSpecs(const proto::Graph& graph, DType model_dtype) {
  std::vector<StateSpec> specs;
  for (int i = 0; i < graph.declarations_size(); ++i) {
    if (!graph.declarations(i).has_state()) continue;
    const proto::Type& type = graph.declarations(i).state().type();
    StateSpec spec{static_cast<uint32_t>(i + 1), model_dtype, {}};
    if (type.dtype() != proto::MODEL) spec.dtype = static_cast<DType>(type.dtype());
    for (const proto::Dim& dim : type.dims()) spec.dims.push_back(dim.size());
    specs.push_back(std::move(spec));
  }
  return specs;
}

OpRunner::OpRunner(const proto::Graph& graph, std::shared_ptr<const Weights> weights, DType dtype,
                   Numerics numerics, KvCache cache, RecurrentStates states)
    : graph_(graph),
      weights_(std::move(weights)),
      dtype_(dtype),
      numerics_(numerics),
      cache_(std::move(cache)),
      states_(std::move(states)),
      rope_(numerics) {}

absl::StatusOr<std::unique_ptr<OpRunner>> OpRunner::Create(
    const proto::Graph& graph, std::shared_ptr<const Weights> weights,
    absl::Span<const AttentionChoice> attention, DType dtype, int32_t block_size,
    Numerics numerics) {
  if (numerics == Numerics::kInvariant) KEEL_RETURN_IF_ERROR(CheckInvariant(graph));
  KEEL_ASSIGN_OR_RETURN(KvCache cache, KvCache::Create(KvLayers(graph), block_size, dtype));
  KEEL_ASSIGN_OR_RETURN(RecurrentStates states, RecurrentStates::Create(StateSpecs(graph, dtype)));
  auto ops = std::unique_ptr<OpRunner>(new OpRunner(graph, std::move(weights), dtype, numerics,
                                                    std::move(cache), std::move(states)));
  for (int i = 0; i < graph.declarations_size(); ++i) {
    ops->attentions_.push_back(
        {DescOf(graph.declarations(i).attention()), attention[i].implementation});
  }
  return ops;
}

void OpRunner::BeginStep(const StepContext* step) {
  step_ = step;
  rope_.Clear();
}

void OpRunner::EndStep() {
  step_ = nullptr;
  rope_.Clear();
}

const Declaration& OpRunner::DeclarationOf(const proto::Node& node) const {
  TORCH_CHECK(
      node.object() >= 1 && node.object() <= static_cast<uint32_t>(graph_.declarations_size()),
      "object ", node.object(), " is not declared");
  return graph_.declarations(static_cast<int>(node.object()) - 1);
}

absl::Status OpRunner::Run(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                           std::vector<at::Tensor>* outputs) {
  absl::Status status = CatchAten([&] { return Dispatch(node, inputs, outputs); });
  if (status.ok()) return status;
  const std::string operands = absl::StrJoin(
      inputs, ", ",
      [](std::string* out, const at::Tensor& tensor) { out->append(TensorString(tensor)); });
  return Annotate(status, absl::StrCat(NodeName(graph_, node), " (", operands, ")"));
}

absl::Status OpRunner::Dispatch(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                                std::vector<at::Tensor>* outputs) {
  if (IsTensorOp(node.op())) {
    RunTensorOp(node, inputs, dtype_, numerics_, outputs);
    return absl::OkStatus();
  }
  switch (node.op()) {
    case proto::OP_MARK:
      return absl::OkStatus();
    case proto::OP_CALL:
      return Unserved("a plugin's own kernel");
    case proto::OP_RECUR: {
      const at::Tensor states = states_.Of(node.object());
      if (step_ == nullptr || !states.defined()) {
        return absl::FailedPreconditionError("runs outside of a step or without states");
      }
      KEEL_ASSIGN_OR_RETURN(at::Tensor out,
                            RunRecurrence(node, inputs, states, step_->state_slots, step_->cu_q));
      outputs->push_back(std::move(out));
      return absl::OkStatus();
    }
    case proto::OP_ATTENTION:
      outputs->emplace_back();
      return RunAttention(node, inputs, &outputs->back());
    case proto::OP_ALL_REDUCE:
    case proto::OP_ALL_GATHER: {
      KEEL_ASSIGN_OR_RETURN(at::Tensor out, RunCollective(node, inputs[0]));
      outputs->push_back(std::move(out));
      return absl::OkStatus();
    }
    default: {
      KEEL_ASSIGN_OR_RETURN(at::Tensor out, RunObject(node, inputs));
      outputs->push_back(std::move(out));
      return absl::OkStatus();
    }
  }
}

absl::StatusOr<at::Tensor> OpRunner::RunCollective(const proto::Node& node, const at::Tensor& x) {
  if (collectives_ == nullptr) {
    return absl::FailedPreconditionError("a collective in a graph that runs on one rank");
  }
  return node.op() == proto::OP_ALL_REDUCE ? collectives_->AllReduce(x)
                                           : collectives_->AllGather(x, op::AlongDim(node).dim());
}

absl::StatusOr<at::Tensor> OpRunner::RunObject(const proto::Node& node,
                                               absl::Span<const at::Tensor> inputs) {
  const Declaration& d = DeclarationOf(node);
  const uint32_t object = node.object();
  switch (node.op()) {
    case proto::OP_LINEAR:
      return weights_->linear(object).Apply(inputs[0]);
    case proto::OP_EMBED:
      return at::index_select(weights_->of<EmbeddingWeight>(object).rows, 0,
                              inputs[0].to(at::kLong));
    case proto::OP_NORM:
      return RunNorm(d.norm(), weights_->of<NormWeight>(object), inputs[0], numerics_);
    case proto::OP_ROPE:
      return RunRope(node, inputs[0], inputs[1]);
    case proto::OP_MOE: {
      const auto& w = weights_->of<ExpertWeights>(object);
      const Routing routing = RouteTokens(d.moe(), w.score_bias, inputs[1], numerics_);
      return RunExperts(d.moe(), w, inputs[0], routing, numerics_);
    }
    case proto::OP_MOE_ROUTED:
      return RunExperts(d.moe(), weights_->of<ExpertWeights>(object), inputs[0],
                        {inputs[1], inputs[2]}, numerics_);
    case proto::OP_CONV:
      return RunConv(d.conv(), weights_->of<ConvWeight>(object), inputs[0]);
    case proto::OP_PARAM:
      return weights_->of<ParamWeight>(object).value;
    default:
      return Unserved(absl::StrCat("op ", proto::Op_Name(node.op())));
  }
}

// Frequencies that follow the length of a step's longest sequence would follow other requests: where
// that must not be, they are those of the longest that the model takes.
int64_t OpRunner::RopeLength(const proto::Rope& rope, const at::Tensor& positions) const {
  if (numerics_ == Numerics::kInvariant) {
    const int64_t longest = graph_.spec().max_positions();
    return (longest > 0 ? longest : rope.original_max_positions()) - 1;
  }
  return step_ != nullptr ? step_->max_position : positions.max().item<int64_t>();
}

at::Tensor OpRunner::RunRope(const proto::Node& node, const at::Tensor& x,
                             const at::Tensor& positions) {
  const proto::Rope& rope = DeclarationOf(node).rope();
  const CosSin& table =
      rope_.Get(node.object(), rope, positions, RopeLength(rope, positions), x.scalar_type());
  return ApplyRope(rope, x, table, numerics_);
}

absl::Status OpRunner::RunAttention(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                                    at::Tensor* out) {
  const proto::Attention& declared = DeclarationOf(node).attention();
  const Attention& attention = attentions_[node.object() - 1];
  const std::vector<NamedArg> args = ReadArgs(node, inputs);
  AttentionCall call;
  call.desc = &attention.desc;
  call.q = inputs[0];
  call.k = inputs[1];
  call.v = inputs[2];
  call.args = args;
  *out = at::empty({call.q.size(0), declared.heads(), declared.v_dim()}, call.q.options());
  call.out = *out;
  if (declared.kind() != proto::Attention::ENCODER) {
    if (step_ == nullptr || cache_.groups()[0].num_blocks == 0) {
      return absl::FailedPreconditionError("attention runs outside of a step or without a cache");
    }
    const bool shares = declared.kv_share_layer() >= 0;
    const int32_t layer = shares ? declared.kv_share_layer() : declared.layer();
    const AttentionMetadata& metadata = step_->metadata[cache_.group(layer)];
    call.metadata = &metadata;
    call.k_cache = cache_.keys(layer);
    call.v_cache = cache_.values(layer);
    if (!shares) {
      WriteKv(call.k, metadata.slots, call.k_cache);
      WriteKv(call.v, metadata.slots, call.v_cache);
    }
  } else if (step_ != nullptr) {
    call.sequences = step_->cu_q;
  }
  return attention.implementation->Run(call);
}

}  // namespace keel

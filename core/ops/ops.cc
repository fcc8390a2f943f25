#include "core/ops/ops.h"

#include <ATen/ops/index_select.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"
#include "core/graph/sharding.h"
#include "core/graph/types.h"
#include "core/ops/conv.h"
#include "core/ops/indices.h"
#include "core/ops/moe.h"
#include "core/ops/norm.h"
#include "core/ops/recur.h"
#include "core/ops/served.h"
#include "core/ops/tensor_ops.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using proto::Declaration;

at::Tensor RunEmbed(const EmbeddingWeight& w, const at::Tensor& ids, DType dtype) {
  const bool is_part = w.first.has_value();
  const at::Tensor clamped = ClampedIndices(ids, is_part ? w.total : w.rows.size(0));
  const at::ScalarType type = *ToScalarType(dtype);
  if (!is_part) return at::index_select(w.rows, 0, clamped).to(type);
  const at::Tensor own = clamped.sub(*w.first);
  const at::Tensor other = own.lt(0).logical_or(own.ge(w.rows.size(0)));
  return at::index_select(w.rows, 0, own.masked_fill(other, 0))
      .to(type)
      .masked_fill(other.unsqueeze(-1), 0);
}

}  // namespace

std::vector<StateSpec> StateSpecs(const proto::Graph& graph, DType model_dtype) {
  std::vector<StateSpec> specs;
  const std::vector<bool> used = UsedObjects(graph);  // others are another stage's
  for (int i = 0; i < graph.declarations_size(); ++i) {
    if (!graph.declarations(i).has_state() || !used[i]) continue;
    const proto::Type& type = graph.declarations(i).state().type();
    StateSpec spec{static_cast<uint32_t>(i + 1), model_dtype, {}};
    if (type.dtype() != proto::MODEL) spec.dtype = static_cast<DType>(type.dtype());
    for (const proto::Dim& dim : type.dims()) spec.dims.push_back(dim.size());
    specs.push_back(std::move(spec));
  }
  return specs;
}

OpRunner::OpRunner(const proto::Graph& graph, std::shared_ptr<const Weights> weights, DType dtype,
                   Numerics numerics, AttentionLayers attention, KernelInstances kernels,
                   KvCache cache, RecurrentStates states)
    : graph_(graph),
      weights_(std::move(weights)),
      dtype_(dtype),
      numerics_(numerics),
      attention_(std::move(attention)),
      kernels_(std::move(kernels)),
      cache_(std::move(cache)),
      states_(std::move(states)),
      rope_(numerics) {}

absl::StatusOr<std::unique_ptr<OpRunner>> OpRunner::Create(
    const proto::Graph& graph, std::shared_ptr<const Weights> weights,
    absl::Span<const AttentionChoice> attention, const PluginKernels& kernels, DType dtype,
    KvFormat kv, Numerics numerics) {
  KEEL_ASSIGN_OR_RETURN(AttentionLayers layers,
                        AttentionLayers::Create(graph, *weights, attention, dtype, kv, numerics));
  KEEL_ASSIGN_OR_RETURN(KernelInstances instances, KernelInstances::Create(graph, kernels, dtype));
  KEEL_ASSIGN_OR_RETURN(KvCache cache,
                        KvCache::Create(layers.kv_layers(), kv.block_size, kv.dtype));
  KEEL_ASSIGN_OR_RETURN(RecurrentStates states, RecurrentStates::Create(StateSpecs(graph, dtype)));
  return std::unique_ptr<OpRunner>(new OpRunner(graph, std::move(weights), dtype, numerics,
                                                std::move(layers), std::move(instances),
                                                std::move(cache), std::move(states)));
}

void OpRunner::BeginStep(const StepContext* step) {
  step_ = step;
  rope_.Clear();
  attention_.BeginStep();
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
      return kernels_.Run(node, inputs, step_, states_, outputs);
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
    case proto::OP_ATTENTION: {
      KEEL_ASSIGN_OR_RETURN(at::Tensor out, attention_.Run(node, inputs, step_, cache_));
      outputs->push_back(std::move(out));
      return absl::OkStatus();
    }
    case proto::OP_ALL_REDUCE:
    case proto::OP_ALL_GATHER:
    case proto::OP_RANK_PART: {
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
  switch (node.op()) {
    case proto::OP_ALL_REDUCE:
      return collectives_->AllReduce(x);
    case proto::OP_ALL_GATHER:
      return collectives_->AllGather(x, op::AlongDim(node).dim());
    default: {
      const op::RankPart cut(node);
      const WeightSplit split{WeightSplit::kRows, static_cast<int>(cut.parts()),
                              static_cast<int>(cut.packs())};
      return PartOf(x, cut.dim(), split, split.part_of(collectives_->rank(), collectives_->size()));
    }
  }
}

absl::StatusOr<at::Tensor> OpRunner::RunObject(const proto::Node& node,
                                               absl::Span<const at::Tensor> inputs) {
  const Declaration& d = DeclarationOf(node);
  const uint32_t object = node.object();
  switch (node.op()) {
    case proto::OP_LINEAR:
      return weights_->linear(object).Apply(inputs[0]);
    case proto::OP_EMBED:
      return RunEmbed(weights_->of<EmbeddingWeight>(object), inputs[0], dtype_);
    case proto::OP_NORM:
      return RunNorm(d.norm(), weights_->of<NormWeight>(object), inputs[0], numerics_);
    case proto::OP_ROPE:
      return RunRope(node, inputs[0], inputs[1]);
    case proto::OP_MOE: {
      const auto& w = weights_->of<ExpertWeights>(object);
      const Routing routing = RouteTokens(d.moe(), w.score_bias, inputs[1]);
      return RunExperts(d.moe(), w, inputs[0], routing, numerics_);
    }
    case proto::OP_MOE_ROUTED:
      return RunExperts(d.moe(), weights_->of<ExpertWeights>(object), inputs[0],
                        {inputs[1], inputs[2]}, numerics_);
    case proto::OP_CONV:
      return RunConv(d.conv(), weights_->of<ConvWeight>(object), inputs[0], numerics_);
    case proto::OP_PARAM:
      return weights_->of<ParamWeight>(object).value;
    default:
      return Unserved(absl::StrCat("op ", proto::Op_Name(node.op())));
  }
}

CosSin OpRunner::RopeTable(uint32_t object, const at::Tensor& positions, at::ScalarType type) {
  const proto::Rope& rope = graph_.declarations(static_cast<int>(object) - 1).rope();
  const absl::Span<const int64_t> lengths =
      step_ != nullptr ? absl::MakeConstSpan(step_->lengths) : absl::Span<const int64_t>();
  return rope_.Get(object, rope, positions, lengths, type);
}

at::Tensor OpRunner::RunRope(const proto::Node& node, const at::Tensor& x,
                             const at::Tensor& positions) {
  return ApplyRope(DeclarationOf(node).rope(), x,
                   RopeTable(node.object(), positions, x.scalar_type()), numerics_);
}

}  // namespace keel

#include "core/compile/expert_calls.h"

#include <utility>

#include "core/kernels/packed_experts.h"
#include "core/kernels/router.h"
#include "core/ops/moe.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

const proto::Moe& MoeOf(const ir::Op& op, OpRunner& ops) {
  return ops.graph().declarations(static_cast<int>(op.node.object()) - 1).moe();
}

class RouteCall : public Call {
 public:
  RouteCall(Router router, RouterRows rows, RowsOperand logits, Place chosen, Place weights)
      : router_(router), rows_(rows), logits_(logits), chosen_(chosen), weights_(weights) {}

  absl::Status Run(const Frame& frame) override {
    rows_.rows = frame(logits_.rows);
    rows_.logits = frame(logits_.place);
    rows_.chosen = reinterpret_cast<int64_t*>(frame(chosen_));
    rows_.weights = reinterpret_cast<float*>(frame(weights_));
    frame.Kernel([&] { RunRouter(router_, rows_); });
    return absl::OkStatus();
  }

 private:
  const Router router_;
  RouterRows rows_;
  const RowsOperand logits_;
  const Place chosen_, weights_;
};

class ExpertsCall : public Call {
 public:
  struct Places {
    RowsOperand x;
    Place chosen, weights, y, scratch;
  };
  ExpertsCall(PackedExperts experts, ExpertRows rows, Places places)
      : experts_(std::move(experts)), rows_(rows), places_(places) {}

  absl::Status Run(const Frame& frame) override {
    rows_.rows = frame(places_.x.rows);
    rows_.x = frame(places_.x.place);
    rows_.chosen = reinterpret_cast<const int64_t*>(frame(places_.chosen));
    rows_.weights = frame(places_.weights);
    rows_.y = frame(places_.y);
    rows_.scratch = frame(places_.scratch);
    frame.Kernel([&] { RunPackedExperts(experts_, rows_); });
    return absl::OkStatus();
  }

 private:
  const PackedExperts experts_;
  ExpertRows rows_;
  const Places places_;
};

std::optional<PackedExperts> ExpertsOf(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  return PackedExpertsOf(MoeOf(op, ops), ops.weights().of<ExpertWeights>(op.node.object()),
                         *ToScalarType(operands.value(op.inputs[0]).dtype()));
}

}  // namespace

std::optional<int64_t> ExpertScratchOf(const ir::Function& function, const ir::Op& moe,
                                       OpRunner& ops) {
  const bool routed = moe.Is(proto::OP_MOE_ROUTED);
  if (!routed && !moe.Is(proto::OP_MOE)) return std::nullopt;
  const ir::MemoryPlan no_memory = {std::vector<ir::MemoryPlan::Slot>(function.values.size()), {}};
  const Operands operands(function, no_memory);
  for (const ir::ValueId id : moe.inputs)
    if (!operands.rows(id).has_value()) return std::nullopt;
  if (routed && function.values[moe.inputs[1]].dtype() != DType::kI64) return std::nullopt;
  if (!operands.kernel_type(moe.inputs.back()).has_value()) return std::nullopt;
  const std::optional<PackedExperts> experts = ExpertsOf(moe, operands, ops);
  if (!experts.has_value() || experts->hidden_size != operands.rows(moe.inputs[0])->size)
    return std::nullopt;
  return ExpertScratchBytes(*experts, MoeOf(moe, ops).top_k());
}

CallPtr MakeExpertCall(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  const proto::Moe& moe = MoeOf(op, ops);
  const std::optional<RowsOperand> first = operands.rows(op.inputs[0]);
  if (!first.has_value()) return nullptr;
  if (op.code == ir::Code::kRoute) {
    RouterRows rows;
    rows.type = *operands.kernel_type(op.inputs[0]);
    rows.stride = first->stride;
    const auto& weights = ops.weights().of<ExpertWeights>(op.node.object());
    return std::make_unique<RouteCall>(RouterOf(moe, weights.score_bias), rows, *first,
                                       operands.place(op.outputs[0]),
                                       operands.place(op.outputs[1]));
  }
  std::optional<PackedExperts> experts = ExpertsOf(op, operands, ops);
  const std::optional<RowsOperand> chosen = operands.rows(op.inputs[1]),
                                   weights = operands.rows(op.inputs[2]);
  if (!experts.has_value() || !chosen.has_value() || !weights.has_value()) return nullptr;
  ExpertRows rows;
  rows.x_stride = first->stride;
  rows.top_k = moe.top_k();
  rows.chosen_stride = chosen->stride;
  rows.weights_type = *operands.kernel_type(op.inputs[2]);
  rows.weights_stride = weights->stride;
  return std::make_unique<ExpertsCall>(
      *std::move(experts), rows,
      ExpertsCall::Places{*first, chosen->place, weights->place, operands.place(op.outputs[0]),
                          operands.place(op.outputs[1])});
}

}  // namespace keel

#include "core/exec/shadow.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/op_table.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

absl::Status Difference(absl::string_view what, absl::string_view eager, absl::string_view graph) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " is ", eager, " in forward, ", graph, " in the graph"));
}

template <typename Field>
absl::Status CompareField(absl::string_view what, const Field& eager, const Field& graph) {
  if (std::equal(eager.begin(), eager.end(), graph.begin(), graph.end())) return absl::OkStatus();
  return Difference(what, absl::StrCat("[", absl::StrJoin(eager, ", "), "]"),
                    absl::StrCat("[", absl::StrJoin(graph, ", "), "]"));
}

// The largest difference, and the largest value it is measured by. Equal infinities and NaNs agree.
absl::Status CompareTensors(const at::Tensor& eager, const at::Tensor& graph, double tolerance) {
  return CatchAten([&]() -> absl::Status {
    if (eager.sizes() != graph.sizes() || eager.scalar_type() != graph.scalar_type()) {
      return Difference("the result", TensorString(eager), TensorString(graph));
    }
    if (eager.numel() == 0) return absl::OkStatus();
    const at::Tensor a = eager.to(at::kDouble), b = graph.to(at::kDouble);
    const at::Tensor same = a.eq(b).logical_or(at::isnan(a).logical_and(at::isnan(b)));
    const at::Tensor differences = at::where(same, 0.0, at::abs(a - b));
    const double largest = differences.max().item<double>();
    const double scale = at::where(same, 0.0, at::abs(b)).max().item<double>();
    if (largest <= tolerance * scale) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the values differ by ", largest, ", allowed is ", tolerance * scale));
  });
}

}  // namespace

ShadowRun::ShadowRun(OpRunner& ops, const proto::Function& expected, double tolerance)
    : EagerRun(ops, expected.name()), expected_(expected), tolerance_(tolerance) {}

absl::Status ShadowRun::OnNode(const proto::Node& node, int index) {
  if (index >= expected_.nodes_size()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "forward goes on with ", NodeName(graph(), node), " where the graph has ended"));
  }
  if (index == 0) {
    graph_values_.assign(values().begin(), values().begin() + expected_.inputs_size() + 1);
  }
  const proto::Node& expected = expected_.nodes(index);
  absl::Status status = CompareNode(node, expected);
  if (status.ok()) status = RunExpected(node, expected);
  if (status.ok()) status = CompareValues(node, expected);
  if (!status.ok()) return Annotate(status, NodeName(graph(), expected));
  ++nodes_met_;
  return absl::OkStatus();
}

absl::Status ShadowRun::CompareNode(const proto::Node& actual, const proto::Node& expected) const {
  if (actual.op() != expected.op() || actual.object() != expected.object()) {
    return Difference("the op", NodeName(graph(), actual), NodeName(graph(), expected));
  }
  KEEL_RETURN_IF_ERROR(CompareField("its integer attributes", actual.ints(), expected.ints()));
  KEEL_RETURN_IF_ERROR(CompareField("its number attributes", actual.reals(), expected.reals()));
  KEEL_RETURN_IF_ERROR(CompareField("its argument names", actual.names(), expected.names()));
  if (actual.data() != expected.data()) return Difference("its data", "one", "another");
  KEEL_RETURN_IF_ERROR(CompareField("its operands", actual.inputs(), expected.inputs()));
  return CompareField("its results", actual.outputs(), expected.outputs());
}

absl::Status ShadowRun::RunExpected(const proto::Node& actual, const proto::Node& expected) {
  // States have moved on. A kernel without any must give the same again.
  const auto has_states = [&] {
    return graph().declarations(static_cast<int>(expected.object()) - 1).kernel().states_size() > 0;
  };
  if (expected.op() == proto::OP_RECUR || (expected.op() == proto::OP_CALL && has_states())) {
    for (uint32_t id : expected.outputs()) graph_values_.push_back(values()[id]);
    return absl::OkStatus();
  }
  std::vector<at::Tensor> operands, results;
  for (uint32_t id : expected.inputs()) operands.push_back(graph_values_[id]);
  // A kernel's results are allocated by its node's types, and only those of this run have sizes.
  const proto::Node& sized = expected.op() == proto::OP_CALL ? actual : expected;
  KEEL_RETURN_IF_ERROR(ops().Run(sized, operands, &results));
  for (at::Tensor& result : results) graph_values_.push_back(std::move(result));
  return absl::OkStatus();
}

absl::Status ShadowRun::CompareValues(const proto::Node& actual,
                                      const proto::Node& expected) const {
  for (int i = 0; i < actual.outputs_size(); ++i) {
    KEEL_RETURN_IF_ERROR(CompareTensors(values()[actual.outputs(i)],
                                        graph_values_[expected.outputs(i)], tolerance_));
    // What the graph promises about the result, symbols being what they are in this run.
    const proto::Type& type = expected.types(i);
    const at::Tensor& result = values()[actual.outputs(i)];
    if (type.dims_size() != result.dim()) {
      return Difference("the result", TensorString(result), type.ShortDebugString());
    }
    for (int dim = 0; dim < type.dims_size(); ++dim) {
      if (type.dims(dim).symbol().empty() && type.dims(dim).size() != result.size(dim)) {
        return Difference("the result", TensorString(result), type.ShortDebugString());
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ShadowRun::CheckEnd(const at::Tensor& output) const {
  if (nodes_met_ != expected_.nodes_size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("forward ended after ", nodes_met_, " nodes, the graph goes on with node ",
                     nodes_met_, " (", NodeName(graph(), expected_.nodes(nodes_met_)), ")"));
  }
  return Annotate(CompareTensors(output, graph_values_[expected_.outputs(0)], tolerance_),
                  "the output");
}

}  // namespace keel

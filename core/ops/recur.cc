#include "core/ops/recur.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/kernels/recurrence.h"
#include "core/ops/args.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

at::Tensor InFp32(const at::Tensor& x) { return x.to(at::kFloat).contiguous(); }

// The node's arguments, tensors in fp32.
class Args {
 public:
  Args(const proto::Node& node, absl::Span<const at::Tensor> inputs)
      : args_(ReadArgs(node, inputs)) {
    for (NamedArg& arg : args_) {
      if (arg.tensor.defined()) arg.tensor = InFp32(arg.tensor);
    }
  }
  // Null if it is not given.
  const float* Tensor(absl::string_view name) const {
    const NamedArg* arg = FindArg(args_, name);
    return arg == nullptr ? nullptr : arg->tensor.const_data_ptr<float>();
  }
  int64_t Size(absl::string_view name, int64_t dim) const {
    return FindArg(args_, name)->tensor.size(dim);
  }
  int64_t Rank(absl::string_view name) const {  // 0 if it is not given
    const NamedArg* arg = FindArg(args_, name);
    return arg == nullptr ? 0 : arg->tensor.dim();
  }
  float Number(absl::string_view name, double otherwise) const {
    const NamedArg* arg = FindArg(args_, name);
    return static_cast<float>(arg == nullptr ? otherwise : arg->number);
  }
  at::Tensor Transposed(absl::string_view name) const {
    return FindArg(args_, name)->tensor.t().contiguous();
  }

 private:
  std::vector<NamedArg> args_;
};

// The states of a step's sequences in fp32: where they lie if they are kept so, else a copy that Keep writes back.
class Fp32States {
 public:
  Fp32States(const at::Tensor& states, absl::Span<const int32_t> slots,
             absl::Span<const int32_t> cu_q)
      : states_(states), in_place_(states.scalar_type() == at::kFloat) {
    slots_ = at::empty({static_cast<int64_t>(slots.size())}, at::kLong);
    std::copy(slots.begin(), slots.end(), slots_.mutable_data_ptr<int64_t>());
    rows_ = in_place_ ? states : InFp32(at::index_select(states, 0, slots_));
    for (size_t i = 0; i < slots.size(); ++i) {
      const int64_t row = in_place_ ? slots[i] : static_cast<int64_t>(i);
      sequences_.push_back(
          {cu_q[i], cu_q[i + 1], rows_.mutable_data_ptr<float>() + row * rows_.stride(0)});
    }
  }
  absl::Span<const RecurrentSequence> sequences() const { return sequences_; }
  void Keep() {
    if (!in_place_) states_.index_copy_(0, slots_, rows_.to(states_.scalar_type()));
  }

 private:
  at::Tensor states_, slots_, rows_;
  const bool in_place_;
  std::vector<RecurrentSequence> sequences_;
};

at::Tensor CausalConv1d(const Args& args, const at::Tensor& x, const Fp32States& states) {
  at::Tensor y = at::empty_like(x);
  const at::Tensor weight = args.Transposed("weight");  // [kernel, channels]
  CausalConv conv;
  conv.x = x.const_data_ptr<float>();
  conv.w = weight.const_data_ptr<float>();
  conv.bias = args.Tensor("bias");
  conv.y = y.mutable_data_ptr<float>();
  conv.channels = x.size(1);
  conv.kernel = weight.size(0);
  RunCausalConv(conv, states.sequences());
  return y;
}

at::Tensor Ssd(const Args& args, const at::Tensor& x, const Fp32States& states) {
  at::Tensor y = at::empty_like(x);
  StateSpace space;
  space.x = x.const_data_ptr<float>();
  space.dt = args.Tensor("dt");
  space.a = args.Tensor("A");
  space.b = args.Tensor("B");
  space.c = args.Tensor("C");
  space.skip = args.Tensor("D");
  space.dt_bias = args.Tensor("dt_bias");
  space.dt_min = args.Number("dt_min", 0);
  space.dt_max = args.Number("dt_max", std::numeric_limits<double>::infinity());
  space.y = y.mutable_data_ptr<float>();
  space.heads = x.size(1);
  space.size = x.size(2);
  space.groups = args.Size("B", 1);
  space.state_size = args.Size("B", 2);
  RunStateSpace(space, states.sequences());
  return y;
}

at::Tensor Selective(const Args& args, const at::Tensor& x, const Fp32States& states) {
  at::Tensor y = at::empty_like(x);
  SelectiveScan scan;
  scan.x = x.const_data_ptr<float>();
  scan.dt = args.Tensor("dt");
  scan.a = args.Tensor("A");
  scan.b = args.Tensor("B");
  scan.c = args.Tensor("C");
  scan.skip = args.Tensor("D");
  scan.dt_bias = args.Tensor("dt_bias");
  scan.y = y.mutable_data_ptr<float>();
  scan.channels = x.size(1);
  scan.state_size = args.Size("A", 1);
  RunSelectiveScan(scan, states.sequences());
  return y;
}

// With and without beta.
at::Tensor Delta(const Args& args, const at::Tensor& q, const Fp32States& states) {
  DeltaRule rule;
  rule.heads = args.Size("v", 1);
  rule.groups = q.size(1);
  rule.key_size = q.size(2);
  rule.value_size = args.Size("v", 2);
  at::Tensor y = at::empty({q.size(0), rule.heads, rule.value_size}, q.options());
  rule.q = q.const_data_ptr<float>();
  rule.k = args.Tensor("k");
  rule.v = args.Tensor("v");
  rule.g = args.Tensor("g");
  rule.by_key = args.Rank("g") == 3;
  rule.beta = args.Tensor("beta");
  rule.y = y.mutable_data_ptr<float>();
  RunDeltaRule(rule, states.sequences());
  return y;
}

at::Tensor Scan(const Args& args, const at::Tensor& x, const Fp32States& states) {
  at::Tensor y = at::empty_like(x);
  RunChannelScan(
      {x.const_data_ptr<float>(), args.Tensor("a"), y.mutable_data_ptr<float>(), x.size(1)},
      states.sequences());
  return y;
}

absl::StatusOr<at::Tensor> Run(int64_t kind, const Args& args, const at::Tensor& x,
                               const Fp32States& states) {
  switch (kind) {
    case KEEL_RECUR_CAUSAL_CONV1D:
      return CausalConv1d(args, x, states);
    case KEEL_RECUR_SSD:
      return Ssd(args, x, states);
    case KEEL_RECUR_SELECTIVE_SCAN:
      return Selective(args, x, states);
    case KEEL_RECUR_GATED_DELTA:
    case KEEL_RECUR_LINEAR_ATTENTION:
      return Delta(args, x, states);
    case KEEL_RECUR_SCAN:
      return Scan(args, x, states);
    default:
      return absl::UnimplementedError(
          absl::StrCat("recurrence ", kind, " is unimplemented in this host"));
  }
}

}  // namespace

absl::StatusOr<at::Tensor> RunRecurrence(const proto::Node& node,
                                         absl::Span<const at::Tensor> inputs,
                                         const at::Tensor& states,
                                         absl::Span<const int32_t> state_slots,
                                         absl::Span<const int32_t> cu_q) {
  // The kernels walk the step's rows in these; the row proof says as much of a graph that is served.
  if (inputs[0].size(0) != cu_q.back()) {
    return absl::InvalidArgumentError(absl::StrCat("recurrence over ", inputs[0].size(0),
                                                   " rows in a step of ", cu_q.back(),
                                                   " tokens; its operand must be the tokens'"));
  }
  const Args args(node, inputs);
  Fp32States of_step(states, state_slots, cu_q);
  KEEL_ASSIGN_OR_RETURN(const at::Tensor y,
                        Run(op::Recur(node).kind(), args, InFp32(inputs[0]), of_step));
  of_step.Keep();
  return y.to(inputs[0].scalar_type());
}

}  // namespace keel

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/infer.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

std::string ShapeText(absl::Span<const Extent> dims) {
  TensorType type;
  type.dims.assign(dims.begin(), dims.end());
  return ToString(type).substr(proto::DataType_Name(type.dtype).size());
}

absl::Status ExpectFloats(absl::string_view what, const TensorType* x,
                          const std::vector<Extent>& dims) {
  if (x != nullptr && IsFloat(*x) && x->dims == dims) return absl::OkStatus();
  return Bad(absl::StrCat(what, " is ", x == nullptr ? "missing" : ToString(*x)),
             absl::StrCat("floating point ", ShapeText(dims)));
}

// The arguments of a recurrence by name.
class RecurArgs {
 public:
  explicit RecurArgs(const OpCall& call) : args_(call.node), inputs_(call.inputs) {}

  bool Has(absl::string_view name) const { return args_.Find(name) >= 0; }

  // The type of a tensor argument; null if it is not given or a number.
  const TensorType* Tensor(absl::string_view name) const {
    const int i = args_.Find(name);
    if (i < 0 || !args_.operand(i).has_value()) return nullptr;
    return inputs_[*args_.operand(i)];
  }

  absl::Status ExpectOnly(absl::Span<const absl::string_view> known) const {
    for (int i = 0; i < args_.size(); ++i) {
      const std::string& name = args_.name(i);
      if (std::find(known.begin(), known.end(), name) == known.end())
        return Bad(absl::StrCat("has the argument '", Shown(name), "'"),
                   absl::StrJoin(known, ", "));
      if (args_.Find(name) != i)
        return Bad(absl::StrCat("has the argument '", Shown(name), "' twice"), "each once");
    }
    return absl::OkStatus();
  }

 private:
  const op::Arguments args_;
  const absl::Span<const TensorType* const> inputs_;
};

absl::Status ExpectState(const proto::State& state, uint32_t kind, absl::string_view what, int rank,
                         const TensorType& x) {
  if (state.kind() == kind && state.type().dims_size() == rank && IsFloat(x)) {
    return absl::OkStatus();
  }
  return Bad(absl::StrCat("got ", ToString(x), " and a state of kind ", state.kind(), " with ",
                          state.type().dims_size(), " dimensions"),
             absl::StrCat("floating point and ", what));
}

absl::StatusOr<TensorType> InferCausalConv(const proto::State& state, const RecurArgs& args,
                                           const TensorType& x) {
  KEEL_RETURN_IF_ERROR(
      ExpectState(state, KEEL_STATE_CONV, "KEEL_STATE_CONV [channels, kernel - 1]", 2, x));
  KEEL_RETURN_IF_ERROR(args.ExpectOnly({"weight", "bias"}));
  const Extent channels{state.type().dims(0).size(), "", 1};
  const Extent kernel{state.type().dims(1).size() + 1, "", 1};
  if (x.rank() != 2 || x.dims[1] != channels) {
    return Bad(absl::StrCat("got ", ToString(x)),
               absl::StrCat("[N, ", channels.size, "], the channels of the state"));
  }
  KEEL_RETURN_IF_ERROR(ExpectFloats("weight", args.Tensor("weight"), {channels, kernel}));
  if (args.Has("bias")) {
    KEEL_RETURN_IF_ERROR(ExpectFloats("bias", args.Tensor("bias"), {channels}));
  }
  return x;
}

absl::StatusOr<TensorType> InferSsd(const proto::State& state, const RecurArgs& args,
                                    const TensorType& x) {
  KEEL_RETURN_IF_ERROR(
      ExpectState(state, KEEL_STATE_SSM, "KEEL_STATE_SSM [heads, head_dim, state]", 3, x));
  KEEL_RETURN_IF_ERROR(args.ExpectOnly({"dt", "A", "B", "C", "D", "dt_bias", "dt_min", "dt_max"}));
  const Extent heads{state.type().dims(0).size(), "", 1}, size{state.type().dims(1).size(), "", 1},
      state_size{state.type().dims(2).size(), "", 1};
  if (x.rank() != 3 || x.dims[1] != heads || x.dims[2] != size) {
    return Bad(absl::StrCat("got ", ToString(x)),
               absl::StrCat("[N, ", heads.size, ", ", size.size, "], the heads of the state"));
  }
  KEEL_RETURN_IF_ERROR(ExpectFloats("dt", args.Tensor("dt"), {x.dims[0], heads}));
  KEEL_RETURN_IF_ERROR(ExpectFloats("A", args.Tensor("A"), {heads}));
  for (const char* name : {"D", "dt_bias"}) {
    if (args.Has(name)) KEEL_RETURN_IF_ERROR(ExpectFloats(name, args.Tensor(name), {heads}));
  }
  for (const char* name : {"dt_min", "dt_max"}) {
    if (args.Tensor(name) != nullptr) return Bad(absl::StrCat(name, " is a tensor"), "a number");
  }
  const TensorType* b = args.Tensor("B");
  if (b == nullptr || b->rank() != 3 || b->dims[1].symbolic() || b->dims[1].size < 1 ||
      heads.size % b->dims[1].size != 0) {
    return Bad(absl::StrCat("B is ", b == nullptr ? "missing" : ToString(*b)),
               absl::StrCat("[N, groups, ", state_size.size, "] and groups that divide ",
                            heads.size, " heads"));
  }
  for (const char* name : {"B", "C"}) {
    KEEL_RETURN_IF_ERROR(
        ExpectFloats(name, args.Tensor(name), {x.dims[0], b->dims[1], state_size}));
  }
  return x;
}

}  // namespace

InferredTypes InferRecur(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const proto::Declaration* d, ObjectOf(call, proto::Declaration::kState));
  const RecurArgs args(call);
  const int64_t kind = op::Recur(call.node).kind();
  absl::StatusOr<TensorType> out = [&]() -> absl::StatusOr<TensorType> {
    switch (kind) {
      case KEEL_RECUR_CAUSAL_CONV1D:
        return InferCausalConv(d->state(), args, call.in(0));
      case KEEL_RECUR_SSD:
        return InferSsd(d->state(), args, call.in(0));
      case KEEL_RECUR_SELECTIVE_SCAN:
      case KEEL_RECUR_GATED_DELTA:
        return absl::UnimplementedError(absl::StrCat("recurrence ", kind, " is reserved in ABI ",
                                                     KEEL_ABI_MAJOR, ".", KEEL_ABI_MINOR,
                                                     ", without a meaning yet"));
      default:
        return Bad(
            absl::StrCat("recurrence ", kind, " is not known"),
            absl::StrCat("KEEL_RECUR_*, ", KEEL_RECUR_CAUSAL_CONV1D, " or ", KEEL_RECUR_SSD));
    }
  }();
  KEEL_RETURN_IF_ERROR(out.status());
  return OneType(*std::move(out));
}

}  // namespace keel

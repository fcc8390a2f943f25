#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/infer.h"
#include "core/graph/op_attributes.h"
#include "core/graph/recurrences.h"

namespace keel {
namespace {

// The sizes that the letters of a recurrence's shapes stand for, as they become known.
class Sizes {
 public:
  Sizes(absl::string_view letters, const proto::Type& state) {
    for (size_t i = 0; i < letters.size(); ++i)
      sizes_[letters[i]] = {state.dims(static_cast<int>(i)).size(), "", 1};
    if (const auto taps = sizes_.find('K'); taps != sizes_.end())
      sizes_['T'] = {taps->second.size + 1, "", 1};
  }

  // The tokens are x's first dimension, groups the first number that comes where they stand.
  absl::Status Match(absl::string_view what, const TensorType* type, absl::string_view shape) {
    if (type == nullptr || !IsFloat(*type) || type->rank() != static_cast<int>(shape.size()))
      return Wrong(what, type, shape);
    for (size_t i = 0; i < shape.size(); ++i) {
      const Extent& dim = type->dims[i];
      if (!Fits(shape[i], dim) || sizes_.try_emplace(shape[i], dim).first->second != dim)
        return Wrong(what, type, shape);
    }
    return absl::OkStatus();
  }

  std::vector<Extent> Of(absl::string_view shape) const {
    std::vector<Extent> dims;
    for (const char letter : shape) dims.push_back(sizes_.at(letter));
    return dims;
  }

 private:
  bool Fits(char letter, const Extent& dim) const {
    if (letter != 'G') return true;
    return !dim.symbolic() && dim.size >= 1 && sizes_.at('H').size % dim.size == 0;
  }

  absl::Status Wrong(absl::string_view what, const TensorType* type,
                     absl::string_view shape) const {
    std::string expected = "floating point [", hint;
    for (size_t i = 0; i < shape.size(); ++i) {
      const auto it = sizes_.find(shape[i]);
      absl::StrAppend(&expected, i == 0 ? "" : ", ",
                      shape[i] == 'N'      ? "N"
                      : it == sizes_.end() ? "groups"
                                           : absl::StrCat(it->second.size));
      if (it == sizes_.end() && shape[i] == 'G')
        hint = absl::StrCat(" and groups that divide ", sizes_.at('H').size, " heads");
    }
    return Bad(absl::StrCat(what, " is ", type == nullptr ? "missing" : ToString(*type)),
               absl::StrCat(expected, "]", hint));
  }

  std::map<char, Extent> sizes_;
};

absl::Status CheckNames(const RecurrenceRow& row, const op::Arguments& args) {
  std::vector<absl::string_view> known;
  for (const RecurOperand& arg : row.args) known.push_back(arg.name);
  known.insert(known.end(), row.numbers.begin(), row.numbers.end());
  for (int i = 0; i < args.size(); ++i) {
    const std::string& name = args.name(i);
    if (std::find(known.begin(), known.end(), name) == known.end())
      return Bad(absl::StrCat("has the argument '", Shown(name), "'"), absl::StrJoin(known, ", "));
    if (args.Find(name) != i)
      return Bad(absl::StrCat("has the argument '", Shown(name), "' twice"), "each once");
    if (row.FindArg(name) == nullptr && args.operand(i).has_value())
      return Bad(absl::StrCat(name, " is a tensor"), "a number");
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorType> Infer(const RecurrenceRow& row, const proto::State& state,
                                 const OpCall& call) {
  const TensorType& x = call.in(0);
  if (state.kind() != row.state_kind ||
      state.type().dims_size() != static_cast<int>(row.state.size()) ||
      !IsFloat({state.type().dtype(), {}}) || !IsFloat(x)) {
    return Bad(absl::StrCat("got ", ToString(x), " and a state of kind ", state.kind(), " with ",
                            state.type().dims_size(), " dimensions"),
               absl::StrCat("floating point and ", row.state_text));
  }
  const op::Arguments args(call.node);
  KEEL_RETURN_IF_ERROR(CheckNames(row, args));
  Sizes sizes(row.state, state.type());
  KEEL_RETURN_IF_ERROR(sizes.Match(row.x.name, &x, row.x.shape));
  for (const RecurOperand& arg : row.args) {
    const int i = args.Find(arg.name);
    if (i < 0 && arg.optional) continue;
    const TensorType* type =
        i < 0 || !args.operand(i).has_value() ? nullptr : call.inputs[*args.operand(i)];
    KEEL_RETURN_IF_ERROR(
        sizes.Match(arg.name, type, arg.ShapeOfRank(type == nullptr ? 0 : type->rank())));
  }
  return TensorType{x.dtype, sizes.Of(row.out)};
}

}  // namespace

InferredTypes InferRecur(const OpCall& call) {
  KEEL_ASSIGN_OR_RETURN(const proto::Declaration* d, ObjectOf(call, proto::Declaration::kState));
  const int64_t kind = op::Recur(call.node).kind();
  const RecurrenceRow* row = FindRecurrence(kind);
  if (row == nullptr) {
    return Bad(absl::StrCat("recurrence ", kind, " is not known"),
               absl::StrCat("KEEL_RECUR_*, ", Recurrences().front().kind, " to ",
                            Recurrences().back().kind));
  }
  KEEL_ASSIGN_OR_RETURN(TensorType out, Infer(*row, d->state(), call));
  return OneType(std::move(out));
}

}  // namespace keel

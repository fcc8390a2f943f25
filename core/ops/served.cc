#include "core/ops/served.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/declaration.h"
#include "core/graph/feature_rows.h"
#include "core/graph/types.h"

namespace keel {
namespace {

// features/1, features/2 ... each once and as wide as an embedding.
absl::Status CheckFeatures(const proto::Graph& graph, const proto::Function& forward) {
  const TensorType expected{proto::MODEL, {{1, "N", 1}, {EmbeddingSize(graph), "", 1}}};
  std::set<int64_t> numbers;
  for (const proto::Function::Input& input : forward.inputs()) {
    const int64_t number = FeaturesNumber(input.name());
    if (number == 0) continue;
    numbers.insert(number);
    KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
    if (type != expected) {
      return absl::InvalidArgumentError(absl::StrCat("forward's input '", input.name(), "' is ",
                                                     ToString(type), ", expected ",
                                                     ToString(expected)));
    }
  }
  const auto n = static_cast<int64_t>(numbers.size());
  if (n == 0 || (n == *numbers.rbegin() && n + 1 == RowsPerFeature(graph))) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("forward has an input 'features/", *numbers.rbegin(),
                   "', expected features/1, features/2 and so on, each once"));
}

absl::Status CheckInputs(const proto::Function& forward) {
  for (const proto::Function::Input& input : forward.inputs()) {
    if (input.name() == "positions") {
      KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
      const bool has_axes = type.rank() == 2 && !type.dims[0].symbolic();
      if (type.rank() != 1 && !has_axes)
        return Unserved(absl::StrCat("forward with positions ", ToString(type)));
    }
    const absl::string_view name = input.name();
    if (name == "groups") {
      KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
      if (type.rank() == 1 && type.dtype == proto::I32) continue;
      return Unserved(absl::StrCat("forward with groups ", ToString(type), ", not I32[N],"));
    }
    if (name == "embeds" || name == "positions" || name == "input_ids" ||
        name == "token_type_ids" || FeaturesNumber(name) > 0)
      continue;
    return Unserved(absl::StrCat("forward with an input '", input.name(), "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Unserved(absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat(what, " is unimplemented in this host"));
}

absl::Status CheckServed(const proto::Graph& graph) {
  for (const proto::Function& function : graph.functions()) {
    if (function.name() != "forward") continue;
    KEEL_RETURN_IF_ERROR(CheckInputs(function));
    KEEL_RETURN_IF_ERROR(CheckFeatures(graph, function));
  }
  return absl::OkStatus();
}

}  // namespace keel

#include "core/ops/served.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/types.h"

namespace keel {
namespace {

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
    if (name == "embeds" || name == "positions" || name == "input_ids" || name == "token_type_ids")
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
    if (function.name() == "forward") KEEL_RETURN_IF_ERROR(CheckInputs(function));
  }
  return absl::OkStatus();
}

}  // namespace keel

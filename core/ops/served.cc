#include "core/ops/served.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/types.h"

namespace keel {
namespace {

absl::Status CheckInputs(const proto::Function& forward) {
  for (const proto::Function::Input& input : forward.inputs()) {
    if (input.name() == "positions" && input.type().dims_size() != 1) {
      KEEL_ASSIGN_OR_RETURN(const TensorType type, FromProto(input.type()));
      return Unserved(absl::StrCat("forward with positions ", ToString(type)));
    }
    const absl::string_view name = input.name();
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
    if (absl::StartsWith(function.name(), "encode/"))
      return Unserved(absl::StrCat(function.name(), ", an encoder,"));
    if (function.name() == "forward") KEEL_RETURN_IF_ERROR(CheckInputs(function));
  }
  return absl::OkStatus();
}

}  // namespace keel

// Along which dimension a recurrence's operands have the heads (or channels) that ranks divide.
#ifndef KEEL_CORE_GRAPH_SHARD_RECUR_H_
#define KEEL_CORE_GRAPH_SHARD_RECUR_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/graph/graph.pb.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Of x `dim`, of the state 0, of the arguments in `per_token` 1, of all others 0. An argument may
// have fewer of them than x, if they divide x's in order: groups of heads.
struct RecurHeads {
  int dim = 1;
  std::vector<std::string> per_token;  // [N, heads, ..]

  int DimOf(const std::string& argument) const {
    return std::find(per_token.begin(), per_token.end(), argument) != per_token.end() ? 1 : 0;
  }
};

inline absl::StatusOr<RecurHeads> HeadsOfRecur(const proto::Node& node) {
  switch (op::Recur(node).kind()) {
    case KEEL_RECUR_CAUSAL_CONV1D:
      return RecurHeads{1, {}};
    case KEEL_RECUR_SSD:
      return RecurHeads{1, {"dt", "B", "C"}};
    default:
      return absl::UnimplementedError(
          absl::StrCat("recurrence ", op::Recur(node).kind(), " can't be split among ranks"));
  }
}

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_SHARD_RECUR_H_

// What this host records but does not run.
#ifndef KEEL_CORE_OPS_SERVED_H_
#define KEEL_CORE_OPS_SERVED_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/graph/graph.pb.h"

namespace keel {

// kUnimplemented names the first function or input of that kind.
absl::Status CheckServed(const proto::Graph& graph);

absl::Status Unserved(absl::string_view what);

}  // namespace keel

#endif  // KEEL_CORE_OPS_SERVED_H_

// What this host records but does not run.
#ifndef KEEL_CORE_OPS_SERVED_H_
#define KEEL_CORE_OPS_SERVED_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/graph/graph.pb.h"

namespace keel {

// kUnimplemented names the first function or input of that kind.
absl::Status CheckServed(const proto::Graph& graph);

absl::Status Unserved(absl::string_view what);

// The number of an input of forward that has more rows of an encoder, 3 of "features/3"; 0: it is another input.
int64_t FeaturesNumber(absl::string_view input);
// How many rows an encoder of the graph gives for each feature: one, and one for each such input.
int64_t RowsPerFeature(const proto::Graph& graph);

}  // namespace keel

#endif  // KEEL_CORE_OPS_SERVED_H_

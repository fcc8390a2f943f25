// Rows of an encoder beside those that take the place of embeddings: forward's inputs features/1, features/2 and so on.
#ifndef KEEL_CORE_GRAPH_FEATURE_ROWS_H_
#define KEEL_CORE_GRAPH_FEATURE_ROWS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "core/graph/graph.pb.h"

namespace keel {

// The number of such an input, 3 of "features/3"; 0: it is another input.
int64_t FeaturesNumber(absl::string_view input);

// How many rows an encoder of the graph gives for each feature: one, and one for each such input.
int64_t RowsPerFeature(const proto::Graph& graph);

}  // namespace keel

#endif  // KEEL_CORE_GRAPH_FEATURE_ROWS_H_

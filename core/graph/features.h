// What the host knows that no field of the ABI shows: the names behind "keel.features/1".
#ifndef KEEL_CORE_GRAPH_FEATURES_H_
#define KEEL_CORE_GRAPH_FEATURES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Sorted: "op.add", "recur.2" ... as keel_features_api lists the kinds.
const std::vector<std::string>& Features();
bool HasFeature(absl::string_view feature);

// The table behind "keel.features/1".
const keel_features_api& FeaturesApi();

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_FEATURES_H_

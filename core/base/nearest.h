// Names that a misspelt one may have meant.
#ifndef KEEL_CORE_BASE_NEAREST_H_
#define KEEL_CORE_BASE_NEAREST_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace keel {

// Of `names`, those that resemble `name`: at most half of the longer one's characters inserted,
// deleted or replaced, case ignored. At most `limit`, nearest first.
std::vector<std::string> NearestNames(absl::string_view name, const std::vector<std::string>& names,
                                      size_t limit);

}  // namespace keel
#endif  // KEEL_CORE_BASE_NEAREST_H_

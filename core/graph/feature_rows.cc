#include "core/graph/feature_rows.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace keel {

int64_t FeaturesNumber(absl::string_view input) {
  int64_t number = 0;
  const bool is_one = absl::ConsumePrefix(&input, "features/") && absl::SimpleAtoi(input, &number);
  return is_one ? std::max<int64_t>(number, 0) : 0;
}

int64_t RowsPerFeature(const proto::Graph& graph) {
  int64_t rows = 1;
  for (const proto::Function& function : graph.functions()) {
    if (function.name() != "forward") continue;
    for (const proto::Function::Input& input : function.inputs())
      if (FeaturesNumber(input.name()) > 0) ++rows;
  }
  return rows;
}

}  // namespace keel

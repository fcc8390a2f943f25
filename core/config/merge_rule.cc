#include "core/config/merge_rule.h"

#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

bool IsSymbol(int64_t dim) { return dim < 0; }

}  // namespace

absl::Status CheckMergeRule(const proto::ModelSpec::Input& input) {
  constexpr int64_t kMaxMultiple = int64_t{1} << 30;
  const auto refused = [&](absl::string_view expected) {
    return absl::InvalidArgumentError(absl::StrCat("input '", input.name(), "' of ", input.graph(),
                                                   " has the merge rule ", input.merge(),
                                                   ", expected ", expected));
  };
  const bool has_indices = input.merge() == KEEL_MERGE_INDICES;
  if (input.merge() > KEEL_MERGE_INDICES) return refused("KEEL_MERGE_NONE to KEEL_MERGE_INDICES");
  if (input.merge() != KEEL_MERGE_NONE && input.graph() == "forward")
    return refused("none: items are put together for encode");
  if (input.merge() != KEEL_MERGE_NONE && absl::c_count_if(input.dims(), IsSymbol) != 1)
    return refused("exactly one dimension that is a symbol, for items are put along it");
  if (input.merge() == KEEL_MERGE_BORDERS && (input.dims_size() != 1 || input.dtype() != KEEL_I32))
    return refused("one dimension of type i32 with KEEL_MERGE_BORDERS");
  if (has_indices && input.dtype() != KEEL_I64 && input.dtype() != KEEL_I32)
    return refused("type i64 or i32 with KEEL_MERGE_INDICES");
  if (has_indices ? !IsSymbol(input.index_symbol()) || input.index_multiple() < 1 ||
                        input.index_multiple() > kMaxMultiple
                  : input.index_symbol() != 0 || input.index_multiple() != 0) {
    return refused(
        "index_symbol -1, -2 ... and index_multiple up to 2^30 with KEEL_MERGE_INDICES, else both "
        "0");
  }
  return absl::OkStatus();
}

}  // namespace keel

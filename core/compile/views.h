// Where the elements of a view lie: reshapes, permutations and slices as strides.
#ifndef KEEL_CORE_COMPILE_VIEWS_H_
#define KEEL_CORE_COMPILE_VIEWS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "core/compile/ir.h"

namespace keel::ir {

// All layouts count from the first element of `value`. nullopt: no strides say it, so that a copy is needed.
std::optional<Layout> Reshaped(const Value& value, const std::vector<Extent>& dims);
std::optional<Layout> Narrowed(const Value& value, int dim, int64_t start);
Layout Permuted(const Value& value, absl::Span<const int64_t> order);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_VIEWS_H_

// Arithmetic on the types of a graph: sizes that may be a symbol (tokens, patches) times a
// fraction.
#ifndef KEEL_CORE_GRAPH_TYPES_H_
#define KEEL_CORE_GRAPH_TYPES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"

namespace keel {

// The size of one dimension: size * symbol / divisor, in lowest terms; without a symbol divisor
// is 1.
struct Extent {
  int64_t size = 1;
  std::string symbol;
  int64_t divisor = 1;

  bool symbolic() const { return !symbol.empty(); }
  bool is(int64_t n) const { return symbol.empty() && size == n; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct TensorType {
  proto::DataType dtype = proto::MODEL;
  std::vector<Extent> dims;

  int rank() const { return static_cast<int>(dims.size()); }
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

// "MODEL[N, 14, 64]", for messages.
std::string ToString(const TensorType& type);

proto::Type ToProto(const TensorType& type);
// Errors: too many dimensions, negative or zero sizes, a divisor without a symbol.
absl::StatusOr<TensorType> FromProto(const proto::Type& type);

// `dim` counted from the end when negative; an error that names both when out of range.
absl::StatusOr<int> NormalizeDim(int64_t dim, int rank);

// The dims of a view: 0 keeps the operand's, -1 (once) is inferred from the number of elements.
absl::StatusOr<std::vector<Extent>> ResolveView(absl::Span<const Extent> from,
                                                absl::Span<const int64_t> dims);

// NumPy broadcasting.
absl::StatusOr<std::vector<Extent>> Broadcast(absl::Span<const Extent> a,
                                              absl::Span<const Extent> b);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_TYPES_H_

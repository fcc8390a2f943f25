// Rotary position embedding (RoFormer, arXiv:2104.09864) of declared frequencies.
#ifndef KEEL_CORE_OPS_ROPE_H_
#define KEEL_CORE_OPS_ROPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"

namespace keel {

// cos and sin of one step's positions, [N, rotary_size / 2], times the attention factor.
struct CosSin {
  at::Tensor cos, sin;
};

// The frequencies in a text of `length` tokens: longrope has a table for long ones, dynamic NTK one
// for each length. f32 [rotary_size / 2].
at::Tensor RopeFrequencies(const proto::Rope& rope, int64_t length);

// `positions` is [N], or [axes, N] with sections; `lengths` are those of the tokens' texts, [N]. With
// another number of them all tokens are of one text, which reaches the largest position. In fp32,
// then cast to `type` unless rope.fp32.
CosSin MakeCosSin(const proto::Rope& rope, const at::Tensor& positions,
                  absl::Span<const int64_t> lengths, at::ScalarType type, Numerics numerics);

// Whether RopeFunction computes it: halves of heads or of their first elements, in their own type.
bool IsPlainRope(const proto::Rope& rope);

// Rotates x [N, heads, head_dim]; what is past rotary_size stays. All of these throw c10::Error.
at::Tensor ApplyRope(const proto::Rope& rope, const at::Tensor& x, const CosSin& table,
                     Numerics numerics);

// Tables of one step: made once for each rope object, shared by all layers.
class RopeTables {
 public:
  explicit RopeTables(Numerics numerics) : numerics_(numerics) {}

  void Clear() { entries_.clear(); }
  const CosSin& Get(uint32_t object, const proto::Rope& rope, const at::Tensor& positions,
                    absl::Span<const int64_t> lengths, at::ScalarType type);

 private:
  struct Entry {
    uint32_t object;
    at::Tensor positions;
    at::ScalarType type;
    CosSin table;
  };
  const Numerics numerics_;
  std::vector<Entry> entries_;
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_ROPE_H_

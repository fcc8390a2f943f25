// Linears of heads: each has a matrix of its own, which was packed when the model was loaded.
#ifndef KEEL_CORE_OPS_HEAD_LINEARS_H_
#define KEEL_CORE_OPS_HEAD_LINEARS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/kernels/numerics.h"
#include "core/kernels/packed_linear.h"

namespace keel {

// Both throw c10::Error.
class HeadLinears {
 public:
  HeadLinears() = default;
  // w [heads, out, in], of a type that kernels know; copied.
  HeadLinears(const at::Tensor& w, Numerics numerics);

  int64_t heads() const { return static_cast<int64_t>(linears_.size()); }
  int64_t in() const { return linears_.empty() ? 0 : linears_[0].k; }
  int64_t out() const { return linears_.empty() ? 0 : linears_[0].n; }

  // y[t, h] = W_h x[t, h]: x [N, heads, in] and y [N, heads, out] of w's type, elements of a head side by side. All heads
  // run at once on all threads.
  void Apply(const at::Tensor& x, const at::Tensor& y) const;

 private:
  at::Tensor packed_;
  std::vector<PackedLinear> linears_;  // by head, all but x and y
  Numerics numerics_ = Numerics::kFastest;
};

}  // namespace keel

#endif  // KEEL_CORE_OPS_HEAD_LINEARS_H_

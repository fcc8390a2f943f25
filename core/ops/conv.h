// Convolutions: over an item's space, or over the rows of [N, in] as one item.
#ifndef KEEL_CORE_OPS_CONV_H_
#define KEEL_CORE_OPS_CONV_H_

#include <ATen/core/Tensor.h>

#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/weights/weights.h"

namespace keel {

// x is [items, in, space ..], or [N, in] with one dimension of space, which is N then; the result has
// `out` in the place of `in`. Throws c10::Error.
at::Tensor RunConv(const proto::Conv& conv, const ConvWeight& w, const at::Tensor& x,
                   Numerics numerics);

}  // namespace keel

#endif  // KEEL_CORE_OPS_CONV_H_

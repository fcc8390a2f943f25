// RMSNorm and LayerNorm as keel_norm_desc says.
#ifndef KEEL_CORE_OPS_NORM_H_
#define KEEL_CORE_OPS_NORM_H_

#include <ATen/core/Tensor.h>

#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/weights/weights.h"

namespace keel {

// Whether they are of that type, as kernels need them.
bool HasWeightsOf(const NormWeight& weights, at::ScalarType type);

// Over the last dimension of x. Throws c10::Error.
at::Tensor RunNorm(const proto::Norm& norm, const NormWeight& weights, const at::Tensor& x,
                   Numerics numerics);

}  // namespace keel

#endif  // KEEL_CORE_OPS_NORM_H_

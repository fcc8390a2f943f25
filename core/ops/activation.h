#ifndef KEEL_CORE_OPS_ACTIVATION_H_
#define KEEL_CORE_OPS_ACTIVATION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace keel {

// KEEL_ACT_* of x, element by element. Throws c10::Error for one that is not known.
at::Tensor Activation(const at::Tensor& x, int64_t act);

}  // namespace keel

#endif  // KEEL_CORE_OPS_ACTIVATION_H_

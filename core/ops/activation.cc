#include "core/ops/activation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "core/kernels/kernel_table.h"
#include "sdk/abi/plugin.h"

namespace keel {

at::Tensor Activation(const at::Tensor& x, int64_t act) {
  const bool is_known = KEEL_ACT_SILU <= act && act <= KEEL_ACT_QUICK_GELU;
  // Of one numerics as of the other: no element knows where it stands.
  const auto* kernel = is_known ? ActKernel(KernelKey::Of(x, Numerics::kInvariant)) : nullptr;
  if (kernel != nullptr) return kernel->run(x, static_cast<Act>(act - KEEL_ACT_SILU));
  switch (act) {
    case KEEL_ACT_SILU:
      return at::silu(x);
    case KEEL_ACT_GELU:
      return at::gelu(x, "none");
    case KEEL_ACT_GELU_TANH:
      return at::gelu(x, "tanh");
    case KEEL_ACT_RELU:
      return at::relu(x);
    case KEEL_ACT_RELU2:
      return at::relu(x).square();
    case KEEL_ACT_QUICK_GELU:
      return x * at::sigmoid(x * 1.702);
    default:
      TORCH_CHECK(false, "activation ", act, " is not known");
  }
}

}  // namespace keel

// Which kernel runs an op on tensors: the one place that asks for device, element type and numerics.
//
// A new kernel is a row of a table in kernel_table.cc. Rows are tried in order, the first that takes
// the key runs. What a kernel asks of an op's attributes beyond that (pairs of halves)
// stands at its Function below, and the op asks only where that holds.
#ifndef KEEL_CORE_KERNELS_KERNEL_TABLE_H_
#define KEEL_CORE_KERNELS_KERNEL_TABLE_H_

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <optional>

#include "core/kernels/fused_rows.h"
#include "core/kernels/numerics.h"

namespace keel {

struct KernelKey {
  c10::DeviceType device = c10::DeviceType::CPU;
  c10::ScalarType type = c10::ScalarType::Float;  // of all operands
  Numerics numerics = Numerics::kFastest;

  static KernelKey Of(const at::Tensor& x, Numerics numerics) {
    return {x.device().type(), x.scalar_type(), numerics};
  }
};

template <typename Function>
struct Kernel {
  const char* name;
  Function* run;  // throws c10::Error
};

// As core/kernels/linear.h says.
using LinearFunction = at::Tensor(const at::Tensor& x, const at::Tensor& weight,
                                  const at::Tensor& bias);
// Weights, where there are some, of x's type.
using NormFunction = at::Tensor(const at::Tensor& x, const NormTensors& norm);
// Element by element.
using ActFunction = at::Tensor(const at::Tensor& x, Act act);
// Two of the same type, element by element; nullopt: not of these, see FusedElements.
using ElementFunction = std::optional<at::Tensor>(ElementOp op, const at::Tensor& a,
                                                  const at::Tensor& b, Act act);
// Halves of the head or of its first elements, in x's type or in fp32.
using RopeFunction = at::Tensor(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

// Throws c10::Error where nothing has the numerics that are asked for.
const Kernel<LinearFunction>& LinearKernel(const KernelKey& key);
// Null: none but ATen's operators one by one.
const Kernel<NormFunction>* NormKernel(const KernelKey& key);
const Kernel<ActFunction>* ActKernel(const KernelKey& key);
const Kernel<ElementFunction>* ElementKernel(const KernelKey& key);
const Kernel<RopeFunction>* RopeKernel(const KernelKey& key);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_KERNEL_TABLE_H_

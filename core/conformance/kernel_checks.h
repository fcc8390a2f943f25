// Group K: kernels of a plugin's own, called as the host does and as it might.
#ifndef KEEL_CORE_CONFORMANCE_KERNEL_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_KERNEL_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckKernelInfer(const Subject& subject);
Finding CheckKernelBorders(const Subject& subject);
Finding CheckKernelNoRows(const Subject& subject);
Finding CheckKernelPlacement(const Subject& subject);
Finding CheckKernelRows(const Subject& subject);
Finding CheckKernelBits(const Subject& subject);
Finding CheckKernelStates(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_KERNEL_CHECKS_H_

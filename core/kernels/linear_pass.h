// Linears one after the other, each with packed weights of its own, as the layers of a model run them: to be timed beside
// what the machine can do (machine_probe.h).
#ifndef KEEL_CORE_KERNELS_LINEAR_PASS_H_
#define KEEL_CORE_KERNELS_LINEAR_PASS_H_

#include <cstdint>
#include <vector>

#include "core/kernels/huge_memory.h"
#include "core/kernels/packed_linear.h"

namespace keel {

struct LinearShape {
  int64_t n, k;  // outputs, inputs
};

class LinearPass {
 public:
  // `shapes`, as often one after the other as it takes to read several times the last cache, or to compute for some
  // milliseconds; `rows` of bf16 inputs. Weights are random.
  LinearPass(const PackedFormat& format, const std::vector<LinearShape>& shapes, int64_t rows);

  // On all threads of ParallelFor.
  void Run() const;

  // Of one Run: bytes of packed weights, scales included; products and sums.
  int64_t bytes() const { return bytes_; }
  double operations() const { return operations_; }
  // Those that Run runs.
  const std::vector<LinearShape>& shapes() const { return shapes_; }

 private:
  int64_t bytes_ = 0;
  double operations_ = 0;
  std::vector<LinearShape> shapes_;
  HugeMemory packed_;
  std::vector<uint16_t> x_, y_;
  std::vector<PackedLinear> linears_;
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_LINEAR_PASS_H_

// What this machine can do at most, measured: what kernels' speed is compared with.
//
// Machines that share their cores and memory with others change their speed within seconds. So each function runs for
// a few milliseconds only: call them in turn with what is measured, many times, and compare medians.
#ifndef KEEL_CORE_KERNELS_MACHINE_PROBE_H_
#define KEEL_CORE_KERNELS_MACHINE_PROBE_H_

#include <cstdint>

#include "core/base/cpu.h"
#include "core/kernels/huge_memory.h"

namespace keel {

class MachineProbe {
 public:
  // `read_bytes` should be several times the last cache. Allocates and fills them, in large pages where there are any.
  explicit MachineProbe(int64_t read_bytes = int64_t{256} << 20);

  // All threads of ParallelFor, reading each its share of the memory in one stream. GB/s.
  double ReadBandwidth() const;

  // Products and sums that all threads get done from registers, by the widest instructions that `cpu` has. GFLOP/s (or
  // Gop/s); 0 where it has none for the type.
  static double FmaPeak(const CpuFeatures& cpu = Cpu());  // fp32
  static double Bf16Peak(
      const CpuFeatures& cpu = Cpu());  // dot products of bf16, by tiles where there are
  static double Int8Peak(const CpuFeatures& cpu = Cpu());  // and of int8

 private:
  int64_t bytes_;
  HugeMemory memory_;
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_MACHINE_PROBE_H_

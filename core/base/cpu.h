// What the CPU and the kernel let this process execute: the one place that kernels ask before they
// pick a variant.
#ifndef KEEL_CORE_BASE_CPU_H_
#define KEEL_CORE_BASE_CPU_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// Each flag stands for instructions that are there AND enabled by the operating system.
struct CpuFeatures {
  bool avx2 = false;         // AVX2, FMA, F16C
  bool avx512 = false;       // AVX-512 F, BW, DQ, VL
  bool avx512_vnni = false;  // int8 dot products
  bool avx512_bf16 = false;  // bf16 dot products
  bool avx512_vbmi = false;  // bytes looked up in a whole register
  bool amx_int8 = false;     // AMX tiles; true only after Linux granted their use to this process
  bool amx_bf16 = false;

  bool operator==(const CpuFeatures&) const = default;
};

// What the machine has. Asks Linux for AMX permission (arch_prctl) where the CPU has AMX.
CpuFeatures DetectCpuFeatures();

// `features` without what lies above `isa`, one of
//   plain  no vector instructions chosen by hand    avx2    up to AVX2
//   avx512 up to AVX-512 with VNNI                  bf16    up to AVX-512 BF16 and VBMI
//   amx    everything
// A limit never adds a feature.
absl::StatusOr<CpuFeatures> LimitCpuFeatures(const CpuFeatures& features, absl::string_view isa);

// DetectCpuFeatures() limited by the environment variable KEEL_ISA, read once. A value that is none
// of the above limits nothing and is said once on stderr.
const CpuFeatures& Cpu();

// "avx2 avx512 avx512_vnni", "plain": for logs and reports.
std::string ToString(const CpuFeatures& features);

}  // namespace keel

#endif  // KEEL_CORE_BASE_CPU_H_

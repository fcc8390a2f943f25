#include "core/base/cpu.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace keel {
namespace {

#if defined(__x86_64__)
// Linux gives the 8 KiB of tile state to processes that ask for it.
bool RequestTilePermission() {
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureTileData) == 0;
}

void DetectAmx(CpuFeatures& features) {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return;
  const bool bf16 = edx >> 22 & 1;
  const bool tile = edx >> 24 & 1;
  const bool int8 = edx >> 25 & 1;
  if (!tile || !(bf16 || int8) || !RequestTilePermission()) return;
  features.amx_bf16 = bf16;
  features.amx_int8 = int8;
}
#endif

}  // namespace

CpuFeatures DetectCpuFeatures() {
  CpuFeatures features;
#if defined(__x86_64__)
  // The builtin has already asked the operating system about the wider registers.
  __builtin_cpu_init();
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("f16c");
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  features.avx512_vbmi = features.avx512 && __builtin_cpu_supports("avx512vbmi");
  if (features.avx512) DetectAmx(features);
#endif
  return features;
}

absl::StatusOr<CpuFeatures> LimitCpuFeatures(const CpuFeatures& features, absl::string_view isa) {
  static constexpr absl::string_view kLevels[] = {"plain", "avx2", "avx512", "bf16", "amx"};
  int level = 0;
  while (level < 5 && kLevels[level] != isa) ++level;
  if (level == 5) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", isa, "\" is none of plain, avx2, avx512, bf16, amx"));
  }
  CpuFeatures limited = features;
  if (level < 4) limited.amx_int8 = limited.amx_bf16 = false;
  if (level < 3) limited.avx512_bf16 = limited.avx512_vbmi = false;
  if (level < 2) limited.avx512 = limited.avx512_vnni = false;
  if (level < 1) limited.avx2 = false;
  return limited;
}

const CpuFeatures& Cpu() {
  static const CpuFeatures features = [] {
    const CpuFeatures detected = DetectCpuFeatures();
    const char* isa = std::getenv("KEEL_ISA");
    if (isa == nullptr || *isa == '\0') return detected;
    const absl::StatusOr<CpuFeatures> limited = LimitCpuFeatures(detected, isa);
    if (limited.ok()) return *limited;
    std::fprintf(stderr, "KEEL_ISA: %s; ignored\n",
                 std::string(limited.status().message()).c_str());
    return detected;
  }();
  return features;
}

std::string ToString(const CpuFeatures& features) {
  std::string text;
  const auto add = [&](bool has, absl::string_view name) {
    if (has) absl::StrAppend(&text, text.empty() ? "" : " ", name);
  };
  add(features.avx2, "avx2");
  add(features.avx512, "avx512");
  add(features.avx512_vnni, "avx512_vnni");
  add(features.avx512_bf16, "avx512_bf16");
  add(features.avx512_vbmi, "avx512_vbmi");
  add(features.amx_int8, "amx_int8");
  add(features.amx_bf16, "amx_bf16");
  return text.empty() ? "plain" : text;
}

}  // namespace keel

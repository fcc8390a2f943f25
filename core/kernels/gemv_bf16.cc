#include "core/kernels/gemv_bf16.h"

#include <algorithm>
#include <cstring>

#include "core/kernels/gemv_bf16_x86.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

constexpr int64_t kBytesAPiece = 64 << 10;  // of weights; less is not worth waking a thread for

float ToFloat(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, sizeof(x));
  return x;
}

void RunPlain(const GemvBf16& g, int64_t begin, int64_t end) {
  for (int64_t m = 0; m < g.m; ++m) {
    for (int64_t n = begin; n < end; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < g.k; ++k) {
        sum += ToFloat(g.x[m * g.ldx + k]) * ToFloat(g.w[n * g.ldw + k]);
      }
      if (g.bias != nullptr) sum += ToFloat(g.bias[n]);
      g.y[m * g.ldy + n] = RoundToBf16(sum);
    }
  }
}

}  // namespace

uint16_t RoundToBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if (x != x) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

std::vector<GemvBf16Variant> GemvBf16Variants(const CpuFeatures& cpu) {
  std::vector<GemvBf16Variant> variants = {{"plain", RunPlain}};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back({"avx2", RunGemvBf16Avx2});
  if (cpu.avx512_bf16) variants.push_back({"avx512_bf16", RunGemvBf16Avx512});
#else
  (void)cpu;
#endif
  return variants;
}

void RunGemvBf16(const GemvBf16& gemv) {
  static const GemvBf16Variant variant = GemvBf16Variants(Cpu()).back();
  const int64_t quads = (gemv.n + 3) / 4;
  const int64_t grain = std::max<int64_t>(1, kBytesAPiece / (8 * std::max<int64_t>(1, gemv.k)));
  ParallelFor(quads, grain, [&](int64_t begin, int64_t end) {
    variant.run(gemv, begin * 4, std::min(end * 4, gemv.n));
  });
}

}  // namespace keel

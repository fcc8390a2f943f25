// The variants of gemv_bf16 for x86. Each lives in a file of its own.
#ifndef KEEL_CORE_KERNELS_GEMV_BF16_X86_H_
#define KEEL_CORE_KERNELS_GEMV_BF16_X86_H_

#include <cstdint>

namespace keel {

struct GemvBf16;  // gemv_bf16.h

uint16_t RoundToBf16(float x);  // to nearest even

#if defined(__x86_64__)
void RunGemvBf16Avx2(const GemvBf16& g, int64_t begin, int64_t end);
void RunGemvBf16Avx512(const GemvBf16& g, int64_t begin, int64_t end);
#endif

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_GEMV_BF16_X86_H_

// The variants of paged attention, each compiled in a file of its own. For the table in paged_attention_run.cc.
#ifndef KEEL_CORE_KERNELS_PAGED_ATTENTION_VARIANTS_H_
#define KEEL_CORE_KERNELS_PAGED_ATTENTION_VARIANTS_H_

#include "core/kernels/paged_attention.h"

namespace keel {

PagedAttentionVariant PagedAttentionPlain();
#if defined(__x86_64__)
PagedAttentionVariant PagedAttentionAvx2();
PagedAttentionVariant PagedAttentionAvx512();
// Multiplies bf16 as pairs: queries, keys and values as they are, codes as the bf16 numbers that they are, weights
// rounded. What is not bf16 goes the way of avx512, and codes do where AVX-512 VBMI is lacking.
PagedAttentionVariant PagedAttentionAvx512Bf16();
// The same, with the products in AMX's tiles.
PagedAttentionVariant PagedAttentionAmxBf16();
#endif

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PAGED_ATTENTION_VARIANTS_H_

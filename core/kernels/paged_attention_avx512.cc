// Paged attention by AVX-512, in fp32.
#include "core/kernels/attention_span.h"
#include "core/kernels/paged_attention_variants.h"

#if defined(__x86_64__)

namespace keel {
namespace {

KEEL_ATTENTION_VARIANT(Avx512, 16, KEEL_TARGET_AVX512)

}  // namespace

PagedAttentionVariant PagedAttentionAvx512() { return {"avx512", RunAvx512, MergeAvx512}; }

}  // namespace keel
#endif

// Paged attention by AVX2.
#include "core/kernels/attention_span.h"
#include "core/kernels/paged_attention_variants.h"

#if defined(__x86_64__)

namespace keel {
namespace {

KEEL_ATTENTION_VARIANT(Avx2, 8, KEEL_TARGET_AVX2)

}  // namespace

PagedAttentionVariant PagedAttentionAvx2() { return {"avx2", RunAvx2, MergeAvx2}; }

}  // namespace keel
#endif

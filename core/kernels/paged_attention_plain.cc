// Paged attention without vector instructions chosen by hand.
#include "core/kernels/attention_span.h"
#include "core/kernels/paged_attention_variants.h"

namespace keel {
namespace {

KEEL_ATTENTION_VARIANT(Plain, 4, )

}  // namespace

PagedAttentionVariant PagedAttentionPlain() { return {"plain", RunPlain, MergePlain}; }

}  // namespace keel

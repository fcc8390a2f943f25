#include <algorithm>
#include <atomic>

#include "core/kernels/paged_attention.h"
#include "core/kernels/paged_attention_variants.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

// Kept by the thread that calls, from call to call.
struct Plan {
  AttentionSplit split;
  std::vector<float> partials;
};

// Takes spans until there are no more; who ends a block's last one merges it.
void RunSpans(const PagedAttention& attention, const PagedAttentionVariant& variant, Plan& plan,
              std::atomic<size_t>& next) {
  AttentionSplit& split = plan.split;
  for (;;) {
    const size_t i = next.fetch_add(1, std::memory_order_relaxed);
    if (i >= split.spans.size()) return;
    const AttentionSpan& span = split.spans[i];
    AttentionRows& rows = split.blocks[span.block];
    variant.run(attention, rows, span, plan.partials.data());
    if (span.tiles == rows.tiles) continue;
    std::atomic_ref<int32_t> pending(rows.pending);
    if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1)
      variant.merge(attention, rows, plan.partials.data());
  }
}

}  // namespace

std::vector<PagedAttentionVariant> PagedAttentionVariants([[maybe_unused]] const CpuFeatures& cpu) {
  std::vector<PagedAttentionVariant> variants = {PagedAttentionPlain()};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back(PagedAttentionAvx2());
  if (cpu.avx512) variants.push_back(PagedAttentionAvx512());
  if (cpu.avx512_bf16) variants.push_back(PagedAttentionAvx512Bf16());
  if (cpu.avx512_bf16 && cpu.amx_bf16) variants.push_back(PagedAttentionAmxBf16());
#endif
  return variants;
}

void RunPagedAttention(const PagedAttention& attention, const PagedAttentionVariant& variant) {
  thread_local Plan plan;
  const int threads = ParallelThreads();
  SplitAttention(attention, threads, &plan.split);
  if (static_cast<int64_t>(plan.partials.size()) < plan.split.partial_floats)
    plan.partials.resize(plan.split.partial_floats);
  std::atomic<size_t> next = 0;
  Plan& shared = plan;  // a thread_local named in the lambda would be each thread's own
  const int64_t pieces = std::min<int64_t>(threads, static_cast<int64_t>(plan.split.spans.size()));
  ParallelFor(pieces, 1, [&](int64_t, int64_t) { RunSpans(attention, variant, shared, next); });
}

void RunPagedAttention(const PagedAttention& attention) {
  static const PagedAttentionVariant variant = PagedAttentionVariants(Cpu()).back();
  RunPagedAttention(attention, variant);
}

}  // namespace keel

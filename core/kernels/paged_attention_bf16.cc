// Paged attention by products of bf16 pairs, in registers or in AMX's tiles.
#include "core/base/cpu.h"
#include "core/kernels/attention_span.h"
#include "core/kernels/paged_attention_variants.h"

#if defined(__x86_64__)
#include "core/kernels/amx_tiles.h"

namespace keel {
namespace {

#define KEEL_TARGET_AVX512_BF16 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define KEEL_TARGET_AVX512_BF16_VBMI                                        \
  __attribute__((                                                           \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16," \
             "avx512vbmi")))

KEEL_ATTENTION_STEPS(Pairs, 16, true, KEEL_TARGET_AVX512_BF16)

// Of each kind of cache, by any steps that multiply pairs.
KEEL_TARGET_AVX512_BF16 void RunNumbers(const PagedAttention& a, const AttentionRows& rows,
                                        const AttentionSpan& span, const lanes::Steps& steps,
                                        float* partials) {
  lanes::RunSpan<16, lanes::BF16, true>(a, rows, span, steps, partials);
}
KEEL_TARGET_AVX512_BF16_VBMI void RunFp8(const PagedAttention& a, const AttentionRows& rows,
                                         const AttentionSpan& span, const lanes::Steps& steps,
                                         float* partials) {
  lanes::RunSpan<16, lanes::Fp8, true>(a, rows, span, steps, partials);
}
KEEL_TARGET_AVX512_BF16_VBMI void RunInt8(const PagedAttention& a, const AttentionRows& rows,
                                          const AttentionSpan& span, const lanes::Steps& steps,
                                          float* partials) {
  lanes::RunSpan<16, lanes::Int8, true>(a, rows, span, steps, partials);
}

// Cooper Lake alone multiplies bf16 and has no VBMI, which codes are expanded by.
bool HasPairs(const PagedAttention& a) {
  return a.type == KernelType::kBF16 &&
         (a.kv_type == KvType::kBF16 || (Cpu().avx512_vbmi && HasScales(a.kv_type)));
}

void RunPairs(const PagedAttention& a, const AttentionRows& rows, const AttentionSpan& span,
              const lanes::Steps& steps, float* partials) {
  if (a.kv_type == KvType::kBF16) return RunNumbers(a, rows, span, steps, partials);
  if (a.kv_type == KvType::kFp8) return RunFp8(a, rows, span, steps, partials);
  RunInt8(a, rows, span, steps, partials);
}

const PagedAttentionVariant& Wide() {
  static const auto& wide = *new PagedAttentionVariant(PagedAttentionAvx512());
  return wide;
}

void RunByDots(const PagedAttention& a, const AttentionRows& rows, const AttentionSpan& span,
               float* partials) {
  if (!HasPairs(a)) return Wide().run(a, rows, span, partials);
  RunPairs(a, rows, span, kStepsPairs, partials);
}

// ---- AMX

thread_local amx::Tiles* tiles_of_thread = nullptr;

// As lanes::Product of pairs, of at most 32 rows and whole tiles of words.
KEEL_TARGET_AMX void ProductTiles(const uint32_t* a, int64_t a_stride, int64_t rows,
                                  const uint32_t* b, int64_t b_stride, int64_t panels, int64_t k,
                                  bool adds, float* c, int64_t c_stride) {
  constexpr int64_t kKeys = lanes::kPanel<16>;
  static_assert(kKeys == 2 * amx::kTileColumns && lanes::kStripRows <= 2 * amx::kTileRows);
  amx::Block block = {.x = reinterpret_cast<const char*>(a),
                      .x_stride = a_stride * 4,
                      .w_stride = kKeys * 4,
                      .tiles = k * 2 / amx::kTileInputs,
                      .sum_stride = c_stride * 4,
                      .set = !adds};
  for (int64_t panel = 0; panel < panels; ++panel) {
    block.w = reinterpret_cast<const char*>(b + panel * b_stride);
    block.sums = c + panel * kKeys;
    tiles_of_thread->Multiply(rows, kKeys, block);
  }
}

constexpr lanes::Steps kStepsTiles = {ProductTiles,
                                      WeighPairs,
                                      FoldPairs,
                                      /*in_registers=*/false,
                                      /*words_multiple=*/amx::kTileInputs / 2,
                                      /*words_at_a_time=*/64};

// However few the rows are: tiles add in another order than registers, and a row's bits must not depend on the others.
KEEL_TARGET_AMX void RunByTiles(const PagedAttention& a, const AttentionRows& rows,
                                const AttentionSpan& span, float* partials) {
  if (!HasPairs(a)) return Wide().run(a, rows, span, partials);
  amx::Tiles tiles;
  tiles_of_thread = &tiles;
  RunPairs(a, rows, span, kStepsTiles, partials);
  tiles_of_thread = nullptr;
}

}  // namespace

PagedAttentionVariant PagedAttentionAvx512Bf16() {
  return {"avx512_bf16", RunByDots, Wide().merge};
}
PagedAttentionVariant PagedAttentionAmxBf16() { return {"amx_bf16", RunByTiles, Wide().merge}; }

}  // namespace keel
#endif

// The small ops of a decoder layer, one pass over each row: norms, rotary embedding, and writing keys and values into
// their cache. In ATen each is a dozen operators, which at one token a step is most of their cost.
#ifndef KEEL_CORE_KERNELS_ROW_OPS_H_
#define KEEL_CORE_KERNELS_ROW_OPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/kv_type.h"
#include "core/kernels/lanes.h"

namespace keel {

// An RMSNorm, or with `center` a LayerNorm, of each row, in fp32:
//   s = x + add, rounded to the type           (x itself without `add`)
//   n = s / sqrt(mean(s^2) + eps)              center: (s - mean(s)) / sqrt(mean((s - mean(s))^2) + eps)
//   y = round(round(round(n) * w) + b)         cast_last: round(n * w + b); without w or b no such step
struct NormRows {
  KernelType type = KernelType::kF32;
  const void* x = nullptr;  // [rows, size], rows x_stride elements apart
  int64_t x_stride = 0;
  const void* w = nullptr;  // [size], or null
  const void* b = nullptr;  // [size], or null
  void* y = nullptr;        // [rows, size], contiguous
  int64_t rows = 0, size = 0;
  float eps = 0;
  bool center = false, cast_last = false;
  const void* add = nullptr;  // [rows, size], rows add_stride apart; null: nothing is added
  int64_t add_stride = 0;
  void* sum =
      nullptr;  // with `add`: s, [rows, size], contiguous; may be x or add if that is contiguous
};

// For each head h of row n, over pairs (i, i + half): (a, b) -> (a cos - b sin, b cos + a sin), each
// product rounded to x's type, and the sums; `wide`: cos and sin are fp32, and only the sums are rounded. What a head
// has behind its pairs stays as it is.
struct RopeRows {
  KernelType type = KernelType::kF32;
  const void* x = nullptr;  // [rows, heads, size], in elements:
  int64_t row_stride = 0, head_stride = 0;
  bool wide = false;
  const void* cos = nullptr;  // [rows, half], contiguous, of x's type
  const void* sin = nullptr;
  void* y = nullptr;                                // [rows, heads, size], contiguous
  int64_t rows = 0, heads = 0, size = 0, half = 0;  // 2 * half <= size
};

// Where the keys and values of a step's tokens go: row n into slot slots[n], which is block * block_size + offset.
struct KvRows {
  KernelType type = KernelType::kF32;  // of k and v
  KvType stored = KvType::kF32;        // of the cache
  const void* k = nullptr;  // [rows, heads, k_dim], elements of a head side by side, in elements:
  int64_t k_row_stride = 0, k_head_stride = 0;
  const void* v = nullptr;  // [rows, heads, v_dim]; null: values are a part of the keys
  int64_t v_row_stride = 0, v_head_stride = 0;
  const int64_t* slots = nullptr;  // [rows]
  void* k_cache = nullptr;         // [blocks, heads, block_size, k_dim], contiguous
  void* v_cache = nullptr;         // [blocks, heads, block_size, v_dim], contiguous
  float* k_scales = nullptr;       // [blocks, heads, block_size], of types that have scales
  float* v_scales = nullptr;
  int64_t rows = 0, heads = 0, k_dim = 0, v_dim = 0, block_size = 0;
  // Not null: keys are rotated on their way, as RopeRows says. [rows, half].
  const void* cos = nullptr;
  const void* sin = nullptr;
  int64_t half = 0;
};

// Ways to compute them, for rows [begin, end). The first is the plain reference.
struct RowOpsVariant {
  std::string name;
  void (*norm)(const NormRows&, int64_t begin, int64_t end);
  void (*rope)(const RopeRows&, int64_t begin, int64_t end);
  void (*write_kv)(const KvRows&, int64_t begin, int64_t end);
};
std::vector<RowOpsVariant> RowOpsVariants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunNormRows(const NormRows& norm);
void RunRope(const RopeRows& rope);
void RunWriteKv(const KvRows& kv);
// Both at once, of the same rows: queries rotated, keys rotated into the cache.
void RunRopeAndWriteKv(const RopeRows& rope, const KvRows& kv);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ROW_OPS_H_

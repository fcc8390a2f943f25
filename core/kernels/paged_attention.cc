// The mathematics is written once over GCC's vector types; a variant is that code compiled for one
// instruction set by a target attribute.
#include "core/kernels/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/visible_keys.h"
#include "core/kernels/lanes.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

template <int kWidth, typename T>
KEEL_INLINE float Dot(const float* a, const typename T::Storage* b, int64_t n) {
  F32x16<kWidth> acc = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    F32x16<kWidth> x, y;
    F32::LoadLanes(a + i, &x);
    T::LoadLanes(b + i, &y);
    acc += x * y;
  }
  float sum = Sum(acc);
  for (; i < n; ++i) sum += a[i] * T::Load(b + i);
  return sum;
}

// acc += p * v
template <int kWidth, typename T>
KEEL_INLINE void Axpy(float p, const typename T::Storage* v, float* acc, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    F32x16<kWidth> x, y;
    F32::LoadLanes(acc + i, &x);
    T::LoadLanes(v + i, &y);
    x += y * p;
    F32::StoreLanes(x, acc + i);
  }
  for (; i < n; ++i) acc[i] += p * T::Load(v + i);
}

// One query head's running softmax.
struct Running {
  float max, sum;
};

// Query heads that one item takes at most: many more share a KV head in latent attention.
constexpr int64_t kHeadsAnItem = 16;

KEEL_INLINE int64_t ItemsOfKvHead(const PagedAttention& a) {
  return (a.heads / a.kv_heads + kHeadsAnItem - 1) / kHeadsAnItem;
}

struct Scratch {
  std::vector<float> q, acc, scores;  // [heads, qk_dim], [heads, v_dim], [block_size]
  std::vector<Running> running;       // [heads]
};

KEEL_INLINE int64_t SequenceOf(const PagedAttention& a, int64_t token) {
  return std::upper_bound(a.cu_q, a.cu_q + a.num_sequences + 1, static_cast<int32_t>(token)) -
         a.cu_q - 1;
}

KEEL_INLINE void Rescale(float factor, float* acc, int64_t n) {
  for (int64_t i = 0; i < n; ++i) acc[i] *= factor;
}

KEEL_INLINE int64_t ValueStride(const PagedAttention& a) {
  return a.v_row_stride > 0 ? a.v_row_stride : a.v_dim;
}

// Takes the keys [begin, end) of one cache block into the running softmax of one query head.
template <int kWidth, typename T>
KEEL_INLINE void TakeBlock(const PagedAttention& a, const typename T::Storage* keys,
                           const typename T::Storage* values, int64_t first_key, int64_t count,
                           int64_t head, const float* q, float* scores, Running* running,
                           float* acc) {
  float block_max = running->max;
  for (int64_t j = 0; j < count; ++j) {
    float score = a.scale * Dot<kWidth, T>(q, keys + j * a.qk_dim, a.qk_dim);
    if (a.softcap > 0) score = a.softcap * std::tanh(score / a.softcap);
    if (a.slopes != nullptr) score += a.slopes[head] * static_cast<float>(first_key + j);
    scores[j] = score;
    block_max = std::max(block_max, score);
  }
  if (block_max > running->max) {
    const float factor = std::exp(running->max - block_max);
    running->sum *= factor;
    Rescale(factor, acc, a.v_dim);
    running->max = block_max;
  }
  for (int64_t j = 0; j < count; ++j) {
    const float p = std::exp(scores[j] - running->max);
    running->sum += p;
    Axpy<kWidth, T>(p, values + j * ValueStride(a), acc, a.v_dim);
  }
}

template <int kWidth, typename T>
KEEL_INLINE void RunItem(const PagedAttention& a, int64_t token, int64_t item, Scratch* s) {
  using Storage = typename T::Storage;
  const int64_t items = ItemsOfKvHead(a), kv_head = item / items, of_kv_head = a.heads / a.kv_heads;
  const int64_t first = item % items * kHeadsAnItem, head0 = kv_head * of_kv_head + first;
  const int64_t group = std::min(kHeadsAnItem, of_kv_head - first);
  const int64_t sequence = SequenceOf(a, token);
  // The sequence's last query sees all its keys.
  const int64_t position = a.seq_lens[sequence] - (a.cu_q[sequence + 1] - token);
  const int64_t begin = FirstVisibleKey(position, a.window, a.chunk), end = position + 1;
  for (int64_t g = 0; g < group; ++g) {
    const Storage* q =
        static_cast<const Storage*>(a.q) + token * a.q_token_stride + (head0 + g) * a.q_head_stride;
    for (int64_t i = 0; i < a.qk_dim; ++i) s->q[g * a.qk_dim + i] = T::Load(q + i);
    s->running[g] = a.sinks != nullptr ? Running{a.sinks[head0 + g], 1.0f}
                                       : Running{-std::numeric_limits<float>::infinity(), 0.0f};
  }
  std::fill(s->acc.begin(), s->acc.end(), 0.0f);
  const int32_t* blocks = a.block_table + sequence * a.max_blocks;
  for (int64_t key = begin; key < end;) {
    const int64_t offset = key % a.block_size;
    const int64_t count = std::min(a.block_size - offset, end - key);
    const int64_t row = (blocks[key / a.block_size] * a.kv_heads + kv_head) * a.block_size + offset;
    const Storage* keys = static_cast<const Storage*>(a.k_cache) + row * a.qk_dim;
    const Storage* values = static_cast<const Storage*>(a.v_cache) + row * ValueStride(a);
    for (int64_t g = 0; g < group; ++g) {
      TakeBlock<kWidth, T>(a, keys, values, key, count, head0 + g, s->q.data() + g * a.qk_dim,
                           s->scores.data(), &s->running[g], s->acc.data() + g * a.v_dim);
    }
    key += count;
  }
  Storage* out = static_cast<Storage*>(a.out) + (token * a.heads + head0) * a.v_dim;
  for (int64_t g = 0; g < group; ++g) {
    const float inverse = 1.0f / s->running[g].sum;
    for (int64_t i = 0; i < a.v_dim; ++i) {
      out[g * a.v_dim + i] = T::Store(s->acc[g * a.v_dim + i] * inverse);
    }
  }
}

template <int kWidth, typename T>
KEEL_INLINE void RunItemsOf(const PagedAttention& a, int64_t begin, int64_t end) {
  const int64_t group = std::min(kHeadsAnItem, a.heads / a.kv_heads);
  Scratch scratch;
  scratch.q.resize(group * a.qk_dim);
  scratch.acc.resize(group * a.v_dim);
  scratch.scores.resize(a.block_size);
  scratch.running.resize(group);
  const int64_t items = ItemsOfKvHead(a) * a.kv_heads;
  for (int64_t item = begin; item < end; ++item)
    RunItem<kWidth, T>(a, item / items, item % items, &scratch);
}

template <int kWidth>
KEEL_INLINE void RunItems(const PagedAttention& a, int64_t begin, int64_t end) {
  switch (a.type) {
    case KernelType::kF32:
      return RunItemsOf<kWidth, F32>(a, begin, end);
    case KernelType::kBF16:
      return RunItemsOf<kWidth, BF16>(a, begin, end);
    case KernelType::kF16:
      return RunItemsOf<kWidth, F16>(a, begin, end);
  }
}

void RunPlain(const PagedAttention& a, int64_t begin, int64_t end) { RunItems<4>(a, begin, end); }

#if defined(__x86_64__)
KEEL_TARGET_AVX2 void RunAvx2(const PagedAttention& a, int64_t begin, int64_t end) {
  RunItems<8>(a, begin, end);
}

KEEL_TARGET_AVX512 void RunAvx512(const PagedAttention& a, int64_t begin, int64_t end) {
  RunItems<16>(a, begin, end);
}
#endif

}  // namespace

std::vector<PagedAttentionVariant> PagedAttentionVariants(const CpuFeatures& cpu) {
  std::vector<PagedAttentionVariant> variants = {{"plain", RunPlain}};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back({"avx2", RunAvx2});
  if (cpu.avx512) variants.push_back({"avx512", RunAvx512});
#else
  (void)cpu;
#endif
  return variants;
}

int64_t PagedAttentionItems(const PagedAttention& a) {
  return a.cu_q[a.num_sequences] * a.kv_heads * ItemsOfKvHead(a);
}

void RunPagedAttention(const PagedAttention& attention) {
  static const PagedAttentionVariant variant = PagedAttentionVariants(Cpu()).back();
  ParallelFor(PagedAttentionItems(attention), 1,
              [&](int64_t begin, int64_t end) { variant.run(attention, begin, end); });
}

}  // namespace keel

// Attention with a KV cache of its own: keys and values in 8 bits, a scale for each token and head,
// so that a token takes about a quarter of what fp32 takes and half of bf16. Any model that needs no
// more than causal attention runs with it: --attention-implementation org.example.int8_kv.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "sdk/keel/plugin.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

// Rows of codes and their scales: the two loops that attention is made of, in two forms.
struct RowKernels {
  // sum of q[i] * codes[i]
  float (*dot)(const float* q, const int8_t* codes, int64_t n);
  // out[i] = out[i] * keep + weight * codes[i]
  void (*accumulate)(float* out, float keep, float weight, const int8_t* codes, int64_t n);
};

float DotPlain(const float* q, const int8_t* codes, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += q[i] * static_cast<float>(codes[i]);
  return sum;
}
void AccumulatePlain(float* out, float keep, float weight, const int8_t* codes, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = out[i] * keep + weight * static_cast<float>(codes[i]);
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) __m256 Widen(const int8_t* codes) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes))));
}
__attribute__((target("avx2,fma"))) float DotAvx2(const float* q, const int8_t* codes, int64_t n) {
  __m256 sums = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) sums = _mm256_fmadd_ps(_mm256_loadu_ps(q + i), Widen(codes + i), sums);
  alignas(32) float parts[8];
  _mm256_store_ps(parts, sums);
  float sum = DotPlain(q + i, codes + i, n - i);
  for (const float part : parts) sum += part;
  return sum;
}
__attribute__((target("avx2,fma"))) void AccumulateAvx2(float* out, float keep, float weight,
                                                        const int8_t* codes, int64_t n) {
  const __m256 kept = _mm256_set1_ps(keep), weights = _mm256_set1_ps(weight);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 old = _mm256_mul_ps(_mm256_loadu_ps(out + i), kept);
    _mm256_storeu_ps(out + i, _mm256_fmadd_ps(weights, Widen(codes + i), old));
  }
  AccumulatePlain(out + i, keep, weight, codes + i, n - i);
}
#endif

RowKernels BestKernels() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {DotAvx2, AccumulateAvx2};
#endif
  return {DotPlain, AccumulatePlain};
}

// Elements of a row in memory, fp32 or bf16, as numbers.
class Row {
 public:
  Row(const View& tensor, int64_t token, int64_t head)
      : data_(tensor.Data<char>() +
              (token * tensor.Stride(0) + head * tensor.Stride(1)) * Bytes(tensor)),
        is_bf16_(tensor.dtype() == KEEL_BF16) {}

  float operator[](int64_t i) const {
    float value;
    if (is_bf16_) {
      uint16_t half;
      std::memcpy(&half, data_ + 2 * i, sizeof(half));
      const uint32_t bits = static_cast<uint32_t>(half) << 16;
      std::memcpy(&value, &bits, sizeof(value));
    } else {
      std::memcpy(&value, data_ + 4 * i, sizeof(value));
    }
    return value;
  }
  void Set(int64_t i, float value) const {
    if (is_bf16_) {
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof(bits));
      const auto half = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      std::memcpy(data_ + 2 * i, &half, sizeof(half));
    } else {
      std::memcpy(data_ + 4 * i, &value, sizeof(value));
    }
  }

 private:
  static int64_t Bytes(const View& tensor) { return tensor.dtype() == KEEL_BF16 ? 2 : 4; }

  char* data_;
  bool is_bf16_;
};

// Which keys a query of the step sees: the same in every layer alike.
struct Query {
  int32_t sequence, first_key, num_keys;
};

class Int8KvAttention {
 public:
  static constexpr const char* kAttention = "org.example.int8_kv";
  static constexpr uint32_t kFlags = KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT;

  explicit Int8KvAttention(const AttentionUse& use)
      : desc_(use.desc), block_size_(use.block_size), kernels_(BestKernels()) {
    if (desc_.kind != KEEL_ATTENTION_CAUSAL || desc_.chunk > 0)
      throw Unsupported("int8_kv: causal attention without chunks alone");
    if (use.dtype != KEEL_F32 && use.dtype != KEEL_BF16)
      throw Unsupported("int8_kv: float32 and bfloat16 alone; choose with --dtype");
  }

  AttentionCache Cache() const {
    const auto meta = [&](uint32_t dtype, int64_t size) {
      return Meta{dtype, 3, {desc_.kv_heads, block_size_, size}};
    };
    return {KEEL_KV_OWN,
            {meta(KEEL_I8, desc_.qk_dim), meta(KEEL_F32, 1), meta(KEEL_I8, desc_.v_dim),
             meta(KEEL_F32, 1)}};
  }

  void Write(const KernelContext& context, const keel_attention_call& call) const {
    const auto* slots = View(call.slots).Data<int64_t>();
    context.ParallelFor(call.num_tokens * desc_.kv_heads, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t token = i / desc_.kv_heads, head = i % desc_.kv_heads;
        const int64_t row = RowOf(slots[token] / block_size_, head, slots[token] % block_size_);
        QuantizeRow(Row(call.k, token, head), desc_.qk_dim, call.caches[0], call.caches[1], row);
        QuantizeRow(Row(call.v, token, head), desc_.v_dim, call.caches[2], call.caches[3], row);
      }
    });
  }

  size_t PlanBytes(const keel_attention_call& call) const {
    return sizeof(Query) * call.num_tokens;
  }
  void Plan(const keel_attention_call& call, void* plan) const {
    auto* query = static_cast<Query*>(plan);
    for (int64_t s = 0; s < call.num_sequences; ++s) {
      const int32_t tokens = call.host_cu_q[s + 1] - call.host_cu_q[s];
      const int32_t computed = call.host_seq_lens[s] - tokens;
      for (int32_t i = 1; i <= tokens; ++i) {
        const int64_t first = desc_.window > 0 ? computed + i - desc_.window : 0;
        *query++ = {static_cast<int32_t>(s), static_cast<int32_t>(std::max<int64_t>(0, first)),
                    computed + i};
      }
    }
  }

  size_t Workspace(const keel_attention_call& call) const {  // of each query and head: q and out
    return sizeof(float) * call.num_tokens * desc_.heads * (desc_.qk_dim + desc_.v_dim);
  }

  void Run(const KernelContext& context, const keel_attention_call& call) const {
    context.ParallelFor(call.num_tokens * desc_.heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* memory = context.Workspace<float>() + i * (desc_.qk_dim + desc_.v_dim);
        RunHead(call, i / desc_.heads, i % desc_.heads, memory);
      }
    });
  }

  // Codes of -127 to 127 and their scale, into row `to` of both; a row of n.
  static void QuantizeRow(const Row& row, int64_t n, const View& codes, const View& scales,
                          int64_t to) {
    float largest = 0;
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(row[i]));
    const float scale = largest / 127;
    scales.Data<float>()[to] = scale;
    const float inverse = scale > 0 ? 1 / scale : 0;
    for (int64_t i = 0; i < n; ++i) {
      const float code = std::nearbyint(row[i] * inverse);  // of a NaN: any
      codes.Data<int8_t>()[to * n + i] =
          static_cast<int8_t>(code >= -127 && code <= 127 ? code : 0);
    }
  }

 private:
  // Of codes and scales, [block, kv_head, slot, ..].
  int64_t RowOf(int64_t block, int64_t head, int64_t slot) const {
    return (block * desc_.kv_heads + head) * block_size_ + slot;
  }

  // One query of one head: softmax as the keys come (arXiv:1805.02867).
  void RunHead(const keel_attention_call& call, int64_t token, int64_t head, float* memory) const {
    const Query query = static_cast<const Query*>(call.plan)[token];
    const View table(call.block_table);
    const int32_t* blocks = table.Data<int32_t>() + query.sequence * table.Stride(0);
    const View keys(call.caches[0]), key_scales(call.caches[1]);
    const View values(call.caches[2]), value_scales(call.caches[3]);
    const int64_t kv_head = head * desc_.kv_heads / desc_.heads;
    float *q = memory, *out = memory + desc_.qk_dim;
    const Row from(call.q, token, head), to(call.out, token, head);
    for (int64_t i = 0; i < desc_.qk_dim; ++i) q[i] = from[i] * static_cast<float>(desc_.scale);
    std::fill(out, out + desc_.v_dim, 0.f);
    float largest = -std::numeric_limits<float>::infinity(), sum = 0;
    for (int32_t key = query.first_key; key < query.num_keys; ++key) {
      const int64_t row = RowOf(blocks[key / block_size_], kv_head, key % block_size_);
      float score = key_scales.Data<float>()[row] *
                    kernels_.dot(q, keys.Data<int8_t>() + row * desc_.qk_dim, desc_.qk_dim);
      if (desc_.softcap > 0) {
        const auto cap = static_cast<float>(desc_.softcap);
        score = std::tanh(score / cap) * cap;
      }
      const float before = largest;
      largest = std::max(largest, score);
      const float keep = std::exp(before - largest), weight = std::exp(score - largest);
      sum = sum * keep + weight;
      kernels_.accumulate(out, keep, weight * value_scales.Data<float>()[row],
                          values.Data<int8_t>() + row * desc_.v_dim, desc_.v_dim);
    }
    for (int64_t i = 0; i < desc_.v_dim; ++i) to.Set(i, out[i] / sum);
  }

  const keel_attention_desc desc_;
  const int64_t block_size_;
  const RowKernels kernels_;
};

}  // namespace

KEEL_PLUGIN("org.example.int8_kv", "1.0.0", Int8KvAttention);

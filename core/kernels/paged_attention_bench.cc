// Attention of some models' shapes over caches of bf16, fp8 and int8, in turn with what the machine can do, by every
// variant of the kernel, and by ATen on keys and values that are gathered already. Prints medians.
//
//   paged_attention_bench [rounds] [shape]
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/kv_type.h"
#include "core/kernels/machine_probe.h"
#include "core/kernels/paged_attention.h"

namespace keel {
namespace {

double Seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

struct Shape {
  const char* name;
  int64_t heads, kv_heads, dim;
};

constexpr int64_t kBlockSize = 16;

// A cache of several layers: decode reads another one each time, so that none of it is in the CPU's caches.
struct Cache {
  const char* name;
  KvType type;
  int64_t layers = 1, layer_bytes = 0;  // keys, values and scales
  at::Tensor k, v, scales;
  std::vector<int32_t> table;

  Cache(const char* name, KvType type, const Shape& shape, int64_t blocks, int64_t queries)
      : name(name), type(type) {
    constexpr int64_t kColdBytes = 320 << 20;
    const bool has_scales = HasScales(type);
    const int64_t row_bytes = 2 * (has_scales ? shape.dim + 4 : 2 * shape.dim);
    layer_bytes = blocks * kBlockSize * shape.kv_heads * row_bytes;
    layers = queries > 1 ? 1 : std::clamp<int64_t>(kColdBytes / layer_bytes, 1, 64);
    const std::vector<int64_t> dims = {blocks * layers, shape.kv_heads, kBlockSize, shape.dim};
    if (has_scales) {
      k = at::randint(-100, 100, dims, at::kChar), v = at::randint(-100, 100, dims, at::kChar);
      scales = at::rand({dims[0], dims[1], dims[2]}) * (type == KvType::kFp8 ? 0.02 : 0.01);
    } else {
      k = at::randn(dims, at::kBFloat16), v = at::randn(dims, at::kBFloat16);
    }
    table.resize(blocks * layers);
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), std::mt19937(1));
  }

  void SetIn(PagedAttention& a) const {
    a.kv_type = type;
    a.k_cache = k.const_data_ptr(), a.v_cache = v.const_data_ptr();
    if (HasScales(type)) a.k_scales = a.v_scales = scales.const_data_ptr<float>();
  }
};

void Measure(const MachineProbe& probe, const Shape& shape, int64_t batch, int64_t context,
             int64_t queries, int rounds) {
  const int64_t of_sequence = (context + kBlockSize - 1) / kBlockSize;
  const int64_t blocks = batch * of_sequence;
  const Cache caches[] = {{"bf16", KvType::kBF16, shape, blocks, queries},
                          {"fp8", KvType::kFp8, shape, blocks, queries},
                          {"int8", KvType::kInt8, shape, blocks, queries}};
  const at::Tensor q = at::randn({batch * queries, shape.heads, shape.dim}).to(at::kBFloat16);
  at::Tensor out = at::ones(q.sizes(), q.options());
  std::vector<int32_t> lens(batch, static_cast<int32_t>(context)), cu_q(batch + 1);
  for (int64_t s = 0; s <= batch; ++s) cu_q[s] = static_cast<int32_t>(s * queries);
  PagedAttention a;
  a.type = KernelType::kBF16;
  a.q = q.const_data_ptr(), a.q_token_stride = q.stride(0), a.q_head_stride = q.stride(1);
  a.out = out.data_ptr();
  a.heads = shape.heads, a.kv_heads = shape.kv_heads, a.qk_dim = a.v_dim = shape.dim;
  a.block_size = kBlockSize, a.max_blocks = of_sequence, a.num_sequences = batch;
  a.seq_lens = lens.data(), a.cu_q = cu_q.data();
  a.scale = 1 / std::sqrt(static_cast<float>(shape.dim));
  // ATen's: one layer, gathered.
  const at::Tensor dense_q = at::randn({batch, shape.heads, queries, shape.dim}).to(at::kBFloat16);
  const at::Tensor dense_k =
      at::randn({batch, shape.kv_heads, context, shape.dim}).to(at::kBFloat16);

  const auto variants = PagedAttentionVariants(Cpu());
  std::vector<double> read, aten, peak;
  std::vector<std::vector<double>> own(3 * variants.size());
  for (int round = 0; round < rounds; ++round) {
    peak.push_back(MachineProbe::FmaPeak());
    read.push_back(probe.ReadBandwidth());
    for (size_t i = 3; i < own.size(); ++i) {
      const Cache& cache = caches[i % 3];
      cache.SetIn(a);
      own[i].push_back(Seconds([&] {
                         for (int64_t layer = 0; layer < cache.layers; ++layer) {
                           a.block_table = cache.table.data() + layer * blocks;
                           RunPagedAttention(a, variants[i / 3]);
                         }
                       }) /
                       static_cast<double>(cache.layers));
    }
    aten.push_back(Seconds([&] {
      at::scaled_dot_product_attention(dense_q, dense_k, dense_k, {}, 0.0, queries > 1, a.scale,
                                       shape.heads != shape.kv_heads);
    }));
  }
  double flops = 0;
  for (int64_t i = 0; i < queries; ++i)
    flops += static_cast<double>(4 * batch * shape.heads * shape.dim * (context - queries + i + 1));
  const double read_gbs = Median(read);
  std::printf(
      "%s batch %ld context %ld queries %ld: read %.1f GB/s, FMA peak %.0f GFLOP/s, aten "
      "%.0f us\n",
      shape.name, batch, context, queries, read_gbs, Median(peak), Median(aten) * 1e6);
  for (size_t i = 3; i < own.size(); ++i) {
    const Cache& cache = caches[i % 3];
    const double t = Median(own[i]), gb = static_cast<double>(cache.layer_bytes) / 1e9;
    std::printf("  %-12s %-4s %8.0f us, %5.2f of its read  %5.0f GFLOP/s  %.2fx aten\n",
                variants[i / 3].name.c_str(), cache.name, t * 1e6, t * read_gbs / gb,
                flops / t / 1e9, Median(aten) / t);
  }
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  c10::InferenceMode guard;
  const keel::MachineProbe probe;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  for (const keel::Shape& shape : {keel::Shape{"smollm2-135m", 9, 3, 64},
                                   {"qwen2.5-0.5b", 14, 2, 64},
                                   {"llama-3.2-1b", 32, 8, 64}}) {
    if (argc > 2 && std::string(argv[2]) != shape.name) continue;
    for (int64_t batch : {1, 16}) {
      for (int64_t context : {512, 2048, 8192})
        keel::Measure(probe, shape, batch, context, 1, rounds);
    }
    for (int64_t context : {512, 2048}) keel::Measure(probe, shape, 1, context, context, rounds);
    // What a long prompt's chunk beside decodes is.
    for (int64_t queries : {8, 16, 64}) keel::Measure(probe, shape, 1, 4000, queries, rounds);
  }
}

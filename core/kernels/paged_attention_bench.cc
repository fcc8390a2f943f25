// Attention of some models' shapes, in turn with what the machine can do, by every variant of the kernel,
// and by ATen on keys and values that are gathered already. Prints medians.
#include <ATen/ops/ones.h>
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
#include <vector>

#include "core/base/cpu.h"
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

void Measure(const MachineProbe& probe, const Shape& shape, int64_t batch, int64_t context,
             int64_t queries, int rounds) {
  constexpr int64_t kBlockSize = 16, kColdBytes = 160 << 20;
  const int64_t of_sequence = (context + kBlockSize - 1) / kBlockSize;
  const int64_t bytes = batch * of_sequence * kBlockSize * shape.kv_heads * shape.dim * 4;
  // Decode reads another layer's cache each time, so that none of it is in the CPU's.
  const int64_t layers = queries > 1 ? 1 : std::clamp<int64_t>(kColdBytes / bytes, 1, 64);
  const int64_t blocks = batch * of_sequence * layers;
  const at::Tensor k = at::randn({blocks, shape.kv_heads, kBlockSize, shape.dim}).to(at::kBFloat16);
  const at::Tensor v = at::randn({blocks, shape.kv_heads, kBlockSize, shape.dim}).to(at::kBFloat16);
  const at::Tensor q = at::randn({batch * queries, shape.heads, shape.dim}).to(at::kBFloat16);
  at::Tensor out = at::ones(q.sizes(), q.options());
  std::vector<int32_t> table(blocks), lens(batch, static_cast<int32_t>(context)), cu_q(batch + 1);
  std::iota(table.begin(), table.end(), 0);
  std::shuffle(table.begin(), table.end(), std::mt19937(1));
  for (int64_t s = 0; s <= batch; ++s) cu_q[s] = static_cast<int32_t>(s * queries);
  PagedAttention a;
  a.type = KernelType::kBF16;
  a.q = q.const_data_ptr(), a.q_token_stride = q.stride(0), a.q_head_stride = q.stride(1);
  a.k_cache = k.const_data_ptr(), a.v_cache = v.const_data_ptr(), a.out = out.data_ptr();
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
  std::vector<std::vector<double>> own(variants.size());
  for (int round = 0; round < rounds; ++round) {
    peak.push_back(MachineProbe::FmaPeak());
    read.push_back(probe.ReadBandwidth());
    for (size_t i = 1; i < variants.size(); ++i) {
      own[i].push_back(Seconds([&] {
                         for (int64_t layer = 0; layer < layers; ++layer) {
                           a.block_table = table.data() + layer * batch * of_sequence;
                           RunPagedAttention(a, variants[i]);
                         }
                       }) /
                       static_cast<double>(layers));
    }
    aten.push_back(Seconds([&] {
      at::scaled_dot_product_attention(dense_q, dense_k, dense_k, {}, 0.0, queries > 1, a.scale,
                                       shape.heads != shape.kv_heads);
    }));
  }
  double flops = 0;
  for (int64_t i = 0; i < queries; ++i)
    flops += static_cast<double>(4 * batch * shape.heads * shape.dim * (context - queries + i + 1));
  const double gb = static_cast<double>(bytes) / 1e9;
  const double read_gbs = Median(read);
  std::printf(
      "%s batch %ld context %ld queries %ld: read %.1f GB/s (%.0f us), FMA peak %.0f "
      "GFLOP/s, aten %.0f us\n",
      shape.name, batch, context, queries, read_gbs, gb / read_gbs * 1e6, Median(peak),
      Median(aten) * 1e6);
  for (size_t i = 1; i < variants.size(); ++i) {
    const double t = Median(own[i]);
    std::printf("  %-12s %8.0f us  %5.1f GB/s (%3.0f %% of read)  %5.0f GFLOP/s  %.2fx aten\n",
                variants[i].name.c_str(), t * 1e6, gb / t, 100 * gb / t / read_gbs, flops / t / 1e9,
                Median(aten) / t);
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
    for (int64_t batch : {1, 16}) {
      for (int64_t context : {128, 512, 2048})
        keel::Measure(probe, shape, batch, context, 1, rounds);
    }
    for (int64_t context : {512, 2048}) keel::Measure(probe, shape, 1, context, context, rounds);
    // What a long prompt's chunk beside decodes is.
    for (int64_t queries : {8, 16, 64}) keel::Measure(probe, shape, 1, 4000, queries, rounds);
  }
}

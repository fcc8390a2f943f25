// One layer of latent attention with DeepSeek-V2-Lite's sizes in bf16: a step of a sequence with expanded latents (what
// `paged` does where it pays) and absorbed ones, and attention with as many heads whose keys and values are cached in
// full. Milliseconds, the best of a few rounds. With an argument, the number of threads.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/attention/registry.h"
#include "core/kernels/aten_threads.h"
#include "core/kernels/packed_linear.h"
#include "core/kernels/parallel.h"
#include "core/ops/attention_layers.h"
#include "core/weights/packed_weight.h"

namespace keel {
namespace {

constexpr int64_t kHeads = 16, kNope = 128, kRope = 64, kValue = 128, kRank = 512, kBlock = 16;

proto::Graph Graph(bool latent) {
  proto::Graph graph;
  proto::Function* forward = graph.add_functions();
  forward->set_name("forward");
  forward->add_nodes()->set_object(2);  // the attention, which has a cache only if it is used
  graph.add_declarations()->mutable_linear();
  proto::Attention* a = graph.add_declarations()->mutable_attention();
  a->set_kv_share_layer(-1);
  a->set_heads(kHeads), a->set_qk_dim(kNope + kRope), a->set_v_dim(kValue), a->set_scale(0.07);
  a->set_kv_heads(latent ? 1 : kHeads);
  if (!latent) return graph;
  a->set_kind(proto::Attention::MLA);
  a->set_kv_lora_rank(kRank), a->set_rope_dim(kRope), a->set_kv_up(1);
  return graph;
}

// In panels, as models are served.
LinearPtr Packed(const at::Tensor& w) {
  PackedLinear linear{.format = {WeightType::kBF16}, .n = w.size(0), .k = w.size(1)};
  const auto memory = std::make_shared<at::Tensor>(
      at::empty({Panels(linear.n) * PanelBytes(linear.format, linear.k)}, at::kByte));
  PackPanels(linear.format, {KernelType::kBF16, w.const_data_ptr(), linear.n, linear.k, linear.k},
             0, Panels(linear.n), memory->mutable_data_ptr());
  linear.weights = memory->const_data_ptr();
  linear.type = KernelType::kBF16;
  return std::make_shared<PackedLinearWeight>(linear, memory);
}

at::Tensor Random(at::IntArrayRef dims) { return at::randn(dims).to(at::kBFloat16); }

// A step of `queries` tokens after keys - queries others.
double Milliseconds(bool latent, const char* name, int64_t queries, int64_t keys) {
  const proto::Graph graph = Graph(latent);
  Weights weights;
  weights.objects = {Packed(Random({kHeads * (kNope + kValue), kRank}) * 0.04), std::monostate()};
  const AttentionRegistry registry;
  const AttentionChoice paged{name, "", "", *registry.Find("paged")};
  auto layers = AttentionLayers::Create(graph, weights, {AttentionChoice(), paged}, DType::kBF16,
                                        {DType::kBF16, kBlock}, Numerics::kFastest);
  const int32_t blocks = static_cast<int32_t>((keys + kBlock - 1) / kBlock);
  auto cache = KvCache::Create(layers->kv_layers(), kBlock, DType::kBF16);
  if (!cache->Allocate({blocks}).ok()) return 0;
  cache->keys(0).fill_(0.1), cache->values(0).fill_(0.1);
  AttentionMetadata m;
  m.block_table = at::arange(blocks, at::kInt).view({1, blocks});
  m.seq_lens = at::full({1}, keys, at::kInt);
  m.cu_q = at::arange(2, at::kInt) * queries;
  m.slots = m.positions = at::arange(keys - queries, keys);
  m.max_q = queries, m.max_kv = keys;
  StepContext step;
  step.metadata = {m};
  proto::Node node;
  node.set_op(proto::OP_ATTENTION);
  node.set_object(2);
  const at::Tensor inputs[] = {
      Random({queries, kHeads, kNope + kRope}),
      latent ? Random({queries, 1, kRank}) : Random({queries, kHeads, kNope + kRope}),
      latent ? Random({queries, 1, kRope}) : Random({queries, kHeads, kValue})};
  double best = 1e9;
  for (int round = 0; round < 7; ++round) {
    layers->BeginStep();
    const auto start = std::chrono::steady_clock::now();
    if (!layers->Run(node, inputs, &step, *cache).ok()) return 0;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, 1e3 * seconds.count());
  }
  return best;
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  c10::InferenceMode guard;
  const auto threads = keel::SharedThreadPool(argc > 1 ? std::atoi(argv[1]) : 0);
  const keel::ScopedThreadPool scope(*threads);
  const keel::ScopedSerialAten serial;
  std::printf("queries  keys   as served  absorbed  keys and values of all heads\n");
  for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 256},
                                      {1, 4096},
                                      {64, 64},
                                      {64, 4096},
                                      {512, 512},
                                      {512, 4096}}) {
    std::printf("%7ld %5ld  %10.2f %9.2f  %10.2f\n", queries, keys,
                keel::Milliseconds(true, "paged", queries, keys),
                keel::Milliseconds(true, "absorbed", queries, keys),
                keel::Milliseconds(false, "paged", queries, keys));
  }
}

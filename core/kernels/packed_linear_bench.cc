// The linears of whole models by the packed kernels and by at::linear, in turn with what the machine can do at most:
//
//   bazel run -c opt //core/kernels:packed_linear_bench [-- ROUNDS [MODEL [FORMAT]]]
//
// GB/s are of packed bytes, scales included; FORMAT is one of kFormats, by default bf16.
//
// Machines that share their cores and memory with others are noisy: medians of all rounds, and ratios. KEEL_ISA
// limits the packed kernels; where it leaves no dot products of bf16, at::linear gets fp32, the only type that it is
// fast in then.
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/kernels/linear_pass.h"
#include "core/kernels/machine_probe.h"
#include "core/kernels/packed_linear.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

struct ModelShapes {
  const char* name;
  LinearShape layer[4];  // qkv, output, gate and up, down
  LinearShape head;
};

constexpr ModelShapes kModels[] = {
    {"smollm2-135m", {{960, 576}, {576, 576}, {3072, 576}, {576, 1536}}, {49152, 576}},
    {"qwen2.5-0.5b", {{1152, 896}, {896, 896}, {9728, 896}, {896, 4864}}, {151936, 896}},
    {"llama-3.2-1b", {{3072, 2048}, {2048, 2048}, {16384, 2048}, {2048, 8192}}, {128256, 2048}},
};
struct Named {
  const char* name;
  PackedFormat format;
};
constexpr Named kFormats[] = {
    {"bf16", {.weights = WeightType::kBF16}},
    {"int8-32", {.weights = WeightType::kInt8, .group = 32}},
    {"int8-64", {.weights = WeightType::kInt8, .group = 64}},
    {"int8-128", {.weights = WeightType::kInt8, .group = 128}},
    {"w8a8-32", {.weights = WeightType::kInt8, .group = 32, .int8_activations = true}},
    {"w8a8-64", {.weights = WeightType::kInt8, .group = 64, .int8_activations = true}},
    {"w8a8-128", {.weights = WeightType::kInt8, .group = 128, .int8_activations = true}},
    {"int4-32", {.weights = WeightType::kInt4, .group = 32}},
    {"int4-64", {.weights = WeightType::kInt4, .group = 64}},
    {"int4-128", {.weights = WeightType::kInt4, .group = 128}},
};
constexpr int64_t kRows[] = {1, 4, 16, 64, 512};

double Seconds(absl::FunctionRef<void()> f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size()) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void Measure(const PackedFormat& format, const char* model, const char* part,
             const std::vector<LinearShape>& shapes, int64_t m, int rounds,
             const MachineProbe& probe) {
  const bool dots = Cpu().avx512_bf16;
  const LinearPass pass(format, shapes, m);
  std::vector<at::Tensor> weights, inputs;
  for (const LinearShape& shape : pass.shapes()) {
    weights.push_back(at::rand({shape.n, shape.k}, dots ? at::kBFloat16 : at::kFloat));
    inputs.push_back(at::rand({m, shape.k}, weights.back().options()));
  }
  std::vector<double> read, peak, packed, aten;
  for (int round = 0; round <= rounds; ++round) {
    const double r = probe.ReadBandwidth();
    const double p = dots ? MachineProbe::Bf16Peak() : MachineProbe::FmaPeak();
    const double own = Seconds([&] { pass.Run(); });
    const double torch = Seconds([&] {
      for (size_t i = 0; i < weights.size(); ++i) at::linear(inputs[i], weights[i]);
    });
    if (round == 0) continue;  // to warm up
    read.push_back(r), peak.push_back(p), packed.push_back(own), aten.push_back(torch);
  }
  const double seconds = Median(packed);
  const double gb = 1e-9 * static_cast<double>(pass.bytes()) / seconds,
               gflops = 1e-9 * pass.operations() / seconds;
  std::printf(
      "%-12s %-6s m %3ld  %5.1f GB/s = %3.0f %% of %5.1f  %6.1f GFLOP/s = %3.0f %% of %6.1f  %4.2f "
      "x at::linear\n",
      model, part, m, gb, 100 * gb / Median(read), Median(read), gflops,
      100 * gflops / std::max(1e-9, Median(peak)), Median(peak), Median(aten) / seconds);
  std::fflush(stdout);
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  c10::InferenceMode guard;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const keel::MachineProbe probe;
  const char* name = argc > 3 ? argv[3] : "bf16";
  const keel::Named* format =
      std::find_if(std::begin(keel::kFormats), std::end(keel::kFormats),
                   [&](const keel::Named& named) { return std::strcmp(named.name, name) == 0; });
  if (format == std::end(keel::kFormats)) {
    std::fprintf(stderr, "no format %s\n", name);
    return 2;
  }
  std::printf("%s, %d threads, %s\n", keel::ToString(keel::Cpu()).c_str(), keel::ParallelThreads(),
              name);
  for (const keel::ModelShapes& model : keel::kModels) {
    if (argc > 2 && std::strcmp(argv[2], model.name) != 0) continue;
    for (const int64_t m : keel::kRows) {
      const std::vector<keel::LinearShape> layer(std::begin(model.layer), std::end(model.layer));
      keel::Measure(format->format, model.name, "layers", layer, m, rounds, probe);
      if (m <= 64)
        keel::Measure(format->format, model.name, "head", {model.head}, m, rounds, probe);
    }
  }
}

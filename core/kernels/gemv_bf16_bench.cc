// Reads memory plainly, and a weight matrix much larger than the caches by the kernel and by at::linear,
// in turn, and prints GB/s of the best of each: machines that share their memory with others are
// noisy, so compare ratios.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "core/kernels/gemv_bf16.h"
#include "core/kernels/machine_probe.h"

namespace keel {
namespace {

double Seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Measure(const MachineProbe& probe, int64_t m, int64_t n, int64_t k) {
  const at::Tensor x = at::ones({m, k}, at::kBFloat16), w = at::ones({n, k}, at::kBFloat16);
  at::Tensor y = at::ones({m, n}, at::kBFloat16);
  GemvBf16 g;
  g.m = m, g.n = n, g.k = g.ldx = g.ldw = k, g.ldy = n;
  g.x = static_cast<const uint16_t*>(x.data_ptr());
  g.w = static_cast<const uint16_t*>(w.data_ptr());
  g.y = static_cast<uint16_t*>(y.data_ptr());
  const int64_t bytes = n * k * 2;
  double read = 0, own = 1e9, aten = 1e9;
  for (int round = 0; round < 15; ++round) {
    read = std::max(read, probe.ReadBandwidth());
    own = std::min(own, Seconds([&] { RunGemvBf16(g); }));
    aten = std::min(aten, Seconds([&] { at::linear(x, w); }));
  }
  const double gb = static_cast<double>(bytes) / 1e9;
  std::printf(
      "M=%2ld N=%ld K=%ld  read %5.1f GB/s  gemv %5.1f (%3.0f %%)  at::linear %5.1f (%3.0f %%)\n",
      m, n, k, read, gb / own, 100 * gb / own / read, gb / aten, 100 * gb / aten / read);
}

}  // namespace
}  // namespace keel

int main() {
  c10::InferenceMode guard;
  const keel::MachineProbe probe;
  for (int64_t m : {1, 2, 4, 8, 16}) keel::Measure(probe, m, 151936, 896);
  for (int64_t m : {1, 8}) keel::Measure(probe, m, 32768, 4864);
}

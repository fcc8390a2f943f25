// The linears of Qwen2.5-0.5B's shape by the invariant kernel and by at::linear, in turn; GFLOP/s of the best of each. Machines that are shared are noisy: compare
// ratios. With an argument, the number of threads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "core/kernels/invariant_linear.h"
#include "core/kernels/kernel_type.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

double Seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Measure(at::ScalarType type, int64_t m, int64_t n, int64_t k) {
  const at::Tensor x = at::rand({m, k}).to(type), w = at::rand({n, k}).to(type);
  at::Tensor y = at::rand({m, n}).to(type);
  InvariantLinear linear;
  linear.type = *KernelTypeOf(type);
  linear.m = m, linear.n = n, linear.k = linear.ldx = linear.ldw = k, linear.ldy = n;
  linear.x = x.const_data_ptr(), linear.w = w.const_data_ptr(), linear.y = y.data_ptr();
  double invariant = 1e9, aten = 1e9;
  const at::Tensor wide_x = x.to(at::kFloat), wide_w = w.to(at::kFloat);
  for (int round = 0; round < 9; ++round) {
    invariant = std::min(invariant, Seconds([&] { RunInvariantLinear(linear); }));
    // 16-bit GEMMs are loops over elements where the CPU has no instructions for them.
    aten = std::min(aten, Seconds([&] { at::linear(wide_x, wide_w); }));
  }
  const double gflop = 2e-9 * static_cast<double>(m) * static_cast<double>(n * k);
  std::printf("%-8s M=%3ld N=%6ld K=%4ld  invariant %6.1f  at::linear in fp32 %6.1f\n",
              c10::toString(type), m, n, k, gflop / invariant, gflop / aten);
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  c10::InferenceMode guard;
  const auto threads = keel::SharedThreadPool(argc > 1 ? std::atoi(argv[1]) : 0);
  const keel::ScopedThreadPool scope(*threads);
  at::set_num_threads(threads->threads());
  for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const int64_t m : {1, 4, 8, 16, 128, 512}) {
      keel::Measure(type, m, 4864, 896);
      keel::Measure(type, m, 896, 4864);
    }
  }
}

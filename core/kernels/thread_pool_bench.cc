// What a fork and join costs: of the pool, and of libtorch's OpenMP threads (at::parallel_for). The two
// are measured in turn, round by round; medians over rounds. "step" is one
// of decoding: 200 kernels of some microseconds, each over all threads, and a pause in which
// nobody works. Both alone and beside threads of others that never rest.
//
//   bazel run //core/kernels:thread_pool_bench [-- foreign threads, 4]
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "core/kernels/parallel.h"

namespace keel {
namespace {

using Clock = std::chrono::steady_clock;
using Loop = std::function<void(int64_t n, const std::function<void(int64_t, int64_t)>& f)>;

constexpr int kForks = 2000, kKernels = 200, kItems = 1 << 15;

double Micros(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}
double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Some microseconds a thread, out of the cache next to it.
void Kernel(int64_t begin, int64_t end, float* data) {
  for (int64_t i = begin; i < end; ++i) data[i] = data[i] * 0.999f + 1.0f;
}

struct Runner {
  const char* name;
  Loop loop;
  std::vector<double> fork, step;  // microseconds, by round
};

// Each piece waits until all have begun: the time to hand work over and to hear of its end.
void Fork(Runner& runner, int threads) {
  std::atomic<int> begun = 0;
  int expected = 0;
  const std::function<void(int64_t, int64_t)> meet = [&](int64_t begin, int64_t end) {
    begun += static_cast<int>(end - begin);
    while (begun < expected) {
    }
  };
  auto start = Clock::now();
  for (int i = -100; i < kForks; ++i) {
    if (i == 0) start = Clock::now();
    expected += threads;
    runner.loop(threads, meet);
  }
  runner.fork.push_back(Micros(Clock::now() - start) / kForks);
}

void Step(Runner& runner, std::vector<float>& data) {
  const std::function<void(int64_t, int64_t)> kernel = [&](int64_t begin, int64_t end) {
    Kernel(begin, end, data.data());
  };
  for (int step = 0; step < 5; ++step) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    const auto start = Clock::now();
    for (int i = 0; i < kKernels; ++i) runner.loop(kItems, kernel);
    runner.step.push_back(Micros(Clock::now() - start));
  }
}

void Measure(int foreign, int rounds) {
  std::atomic<bool> ends = false;
  std::vector<std::thread> others;
  for (int i = 0; i < foreign; ++i) {
    others.emplace_back([&] {
      volatile double x = 0;
      while (!ends) x = x + 1;
    });
  }
  std::vector<Runner> runners;
  runners.push_back({"one thread", [](int64_t n, const auto& f) { f(0, n); }, {}, {}});
  runners.push_back({"keel", [](int64_t n, const auto& f) { ParallelFor(n, 1, f); }, {}, {}});
  runners.push_back(
      {"at::parallel_for", [](int64_t n, const auto& f) { at::parallel_for(0, n, 1, f); }, {}, {}});
  std::vector<float> data(kItems, 1);
  for (int round = 0; round < rounds; ++round) {
    for (Runner& runner : runners) {
      // The others' threads spin for a while after their last piece.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      // Threads that have no processor don't meet.
      if (foreign == 0 && &runner != &runners[0]) Fork(runner, ParallelThreads());
      Step(runner, data);
    }
  }
  ends = true;
  for (std::thread& other : others) other.join();
  std::printf("beside %d busy threads\n", foreign);
  for (const Runner& runner : runners) {
    std::printf("  %-18s step %7.0f us, worst %7.0f", runner.name, Median(runner.step),
                *std::max_element(runner.step.begin(), runner.step.end()));
    if (!runner.fork.empty()) std::printf(", fork and join %5.2f us", Median(runner.fork));
    std::printf("\n");
  }
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  const int foreign = argc > 1 ? std::atoi(argv[1]) : 4;
  std::printf("%d threads\n", keel::ParallelThreads());
  at::set_num_threads(keel::ParallelThreads());
  keel::Measure(0, 21);
  keel::Measure(foreign, 7);
}

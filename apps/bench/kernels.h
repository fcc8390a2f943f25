// The linears of a shape by themselves, without an engine: how near to the machine the kernels come.
#ifndef KEEL_APPS_BENCH_KERNELS_H_
#define KEEL_APPS_BENCH_KERNELS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/bench/shapes.h"
#include "boost/json/object.hpp"

namespace keel::apps {

struct KernelRate {
  std::string quantization;                          // "none": bfloat16
  std::string part;                                  // "layers" or "head"
  int64_t rows = 0;                                  // of inputs
  double gb_per_second = 0, read_gb_per_second = 0;  // of packed weights; what the machine reads
  double gflop_per_second = 0, peak_gflop_per_second = 0;  // Gop/s of bytes
};

struct KernelLoad {
  ShapeLinears linears;
  std::vector<std::string> quantizations;  // names of core/weights/quantization.h
  std::vector<int64_t> rows;
  size_t repeats = 0;
};

// Each rate is the median of its repeats, in turn with the machine's; told to `on_rate` as it comes.
void MeasureKernels(const KernelLoad& load, const std::atomic<bool>& stop,
                    const std::function<void(const KernelRate&)>& on_rate);

// A table's first line and one of a rate, each with its line's end.
std::string KernelsTitle();
std::string KernelText(const KernelRate& rate);
boost::json::object KernelJson(const KernelRate& rate);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_KERNELS_H_

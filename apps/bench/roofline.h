// What this machine can do at most, sampled in turn with what is measured: shared machines change their speed within
// seconds, so a figure of another minute says little.
#ifndef KEEL_APPS_BENCH_ROOFLINE_H_
#define KEEL_APPS_BENCH_ROOFLINE_H_

#include <string_view>
#include <vector>

#include "boost/json/object.hpp"
#include "core/kernels/machine_probe.h"

namespace keel::apps {

// What a linear's products are made of: numbers of 32 bits, of 16, or bytes.
enum class Products { kF32, kBF16, kInt8 };
// With --quantize (a name of core/weights/quantization.h) and the model's type, "bfloat16".
Products ProductsOf(std::string_view quantization, std::string_view dtype);

class Roofline {
 public:
  explicit Roofline(Products products) : products_(products) {}

  // Measures once, for some 20 ms on all threads.
  void Sample();

  // Medians of the samples. The peak is that of the widest instructions for these products that the processor has, of
  // fp32 where it has none.
  double read_gb_per_second() const;
  double peak_gflop_per_second() const;

 private:
  const Products products_;
  const MachineProbe probe_;
  std::vector<double> reads_, peaks_;
};

// What running a model once takes of a machine, by Engine::info(); 0 where it does not say.
struct StepCost {
  double weight_bytes =
      0;  // that a step of one token reads; 0 also of a mixture of experts, where it depends
  double token_gflop = 0;  // of linears, without attention
  double logits_gflop = 0;
};
StepCost StepCostOf(const boost::json::object& info);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_ROOFLINE_H_

#include "apps/bench/kernels.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "apps/bench/roofline.h"
#include "apps/bench/statistics.h"
#include "core/kernels/linear_pass.h"
#include "core/weights/quantized_format.h"

namespace keel::apps {
namespace {

constexpr int64_t kMostRowsOfAHead = 64;  // prompts need their last token's logits alone

KernelRate Measure(const LinearPass& pass, const std::string& quantization, size_t repeats,
                   const std::atomic<bool>& stop) {
  Roofline roofline(ProductsOf(quantization, "bfloat16"));
  std::vector<double> seconds;
  pass.Run();  // to warm up
  for (size_t i = 0; i < repeats && !stop; ++i) {
    roofline.Sample();
    const auto start = std::chrono::steady_clock::now();
    pass.Run();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  KernelRate rate;
  const double median = Median(seconds);
  if (median == 0) return rate;  // stopped
  rate.gb_per_second = 1e-9 * static_cast<double>(pass.bytes()) / median;
  rate.read_gb_per_second = roofline.read_gb_per_second();
  rate.gflop_per_second = 1e-9 * pass.operations() / median;
  rate.peak_gflop_per_second = roofline.peak_gflop_per_second();
  return rate;
}

}  // namespace

void MeasureKernels(const KernelLoad& load, const std::atomic<bool>& stop,
                    const std::function<void(const KernelRate&)>& on_rate) {
  for (const std::string& name : load.quantizations) {
    const Quantization quantization = *QuantizationFromName(name);
    for (const int64_t rows : load.rows) {
      for (const auto& [part, shapes] :
           {std::pair("layers", load.linears.layer), {"head", {load.linears.head}}}) {
        const bool is_head = std::string_view(part) == "head";
        if (is_head && rows > kMostRowsOfAHead) continue;
        if (stop) return;
        const PackedFormat format = is_head ? HeadFormat(quantization, DType::kBF16)
                                            : QuantizedFormat(quantization, DType::kBF16);
        KernelRate rate = Measure(LinearPass(format, shapes, rows), name, load.repeats, stop);
        rate.quantization = name;
        rate.part = part;
        rate.rows = rows;
        if (rate.gb_per_second > 0) on_rate(rate);
      }
    }
  }
}

std::string KernelsTitle() {
  return "quantize  part    rows    GB/s  of read      GFLOP/s  of peak\n";
}

std::string KernelText(const KernelRate& rate) {
  char text[128];
  std::snprintf(
      text, sizeof(text), "%-9s %-6s %5lld %7.1f  %5.1f (%3.0f %%) %7.1f  %6.1f (%3.0f %%)\n",
      rate.quantization.c_str(), rate.part.c_str(), static_cast<long long>(rate.rows),
      rate.gb_per_second, rate.read_gb_per_second,
      100 * rate.gb_per_second / rate.read_gb_per_second, rate.gflop_per_second,
      rate.peak_gflop_per_second, 100 * rate.gflop_per_second / rate.peak_gflop_per_second);
  return text;
}

boost::json::object KernelJson(const KernelRate& rate) {
  return {{"quantization", rate.quantization},
          {"part", rate.part},
          {"rows", rate.rows},
          {"gb_per_second", rate.gb_per_second},
          {"read_gb_per_second", rate.read_gb_per_second},
          {"gflop_per_second", rate.gflop_per_second},
          {"peak_gflop_per_second", rate.peak_gflop_per_second}};
}

}  // namespace keel::apps

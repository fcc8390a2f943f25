#include "core/kernels/linear_pass.h"

#include <algorithm>

#include "core/kernels/parallel.h"

namespace keel {
namespace {

constexpr double kBytesAPass = 128 << 20;  // in bf16, as far as operations allow
constexpr double kOperationsAPass = 2e10;

// bf16 numbers between -2 and 2, the same ones each time.
std::vector<uint16_t> RandomWeights(int64_t count) {
  std::vector<uint16_t> weights(static_cast<size_t>(count));
  uint32_t state = 1;
  for (uint16_t& weight : weights) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes
    weight = static_cast<uint16_t>((state >> 31) << 15 | (0x3c00 + (state >> 16 & 0x3ff)));
  }
  return weights;
}

}  // namespace

LinearPass::LinearPass(const PackedFormat& format, const std::vector<LinearShape>& shapes,
                       int64_t rows) {
  double weights = 0;
  for (const LinearShape& shape : shapes) weights += static_cast<double>(shape.n * shape.k);
  const double copies = std::min(kBytesAPass / (2 * weights),
                                 kOperationsAPass / (2 * weights * static_cast<double>(rows)));
  int64_t most_n = 0, most_k = 0, most_weights = 0;
  for (auto copy = std::max<int64_t>(1, static_cast<int64_t>(copies + 0.5)); copy > 0; --copy)
    shapes_.insert(shapes_.end(), shapes.begin(), shapes.end());
  for (const LinearShape& shape : shapes_) {
    bytes_ += Panels(shape.n) * PanelBytes(format, shape.k);
    operations_ += 2.0 * static_cast<double>(rows * shape.n * shape.k);
    most_n = std::max(most_n, shape.n), most_k = std::max(most_k, shape.k);
    most_weights = std::max(most_weights, shape.n * shape.k);
  }
  packed_ = AllocateHugeMemory(bytes_);
  x_.assign(static_cast<size_t>(rows * most_k), 0x3c01);
  y_.resize(static_cast<size_t>(rows * most_n));
  const std::vector<uint16_t> random = RandomWeights(most_weights);
  char* to = packed_.get();
  for (const LinearShape& shape : shapes_) {
    const PlainWeights plain = {KernelType::kBF16, random.data(), shape.n, shape.k, shape.k};
    ParallelFor(Panels(shape.n), 1,
                [&](int64_t begin, int64_t end) { PackPanels(format, plain, begin, end, to); });
    linears_.push_back({.format = format,
                        .n = shape.n,
                        .k = shape.k,
                        .weights = to,
                        .type = KernelType::kBF16,
                        .m = rows,
                        .x = x_.data(),
                        .y = y_.data(),
                        .ldx = shape.k,
                        .ldy = shape.n});
    to += Panels(shape.n) * PanelBytes(format, shape.k);
  }
}

void LinearPass::Run() const {
  for (const PackedLinear& linear : linears_) RunPackedLinear(linear);
}

}  // namespace keel

// Weights of floating point: what the other variants of them compute, in loops.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_linear_variants.h"

namespace keel {
namespace {

constexpr int kLanesOfPlain = 4;

bool Takes(const PackedFormat& format, KernelType) {
  return format.weights == WeightType::kF32 || format.weights == WeightType::kBF16 ||
         format.weights == WeightType::kF16;
}

int64_t RowBytes(const PackedFormat&, int64_t k) { return PaddedRowBytes(k * 4); }

void Convert(const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
  const int64_t stride = RowBytes(linear.format, linear.k);
  for (int64_t row = row_begin; row < row_end; ++row) {
    packed::WidenRow<kLanesOfPlain>(
        linear, row,
        reinterpret_cast<float*>(static_cast<char*>(rows) + (row - row_begin) * stride));
  }
}

template <typename T, int kPairs>
void RunOf(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  const int64_t stride = RowBytes(linear.format, linear.k);
  const int64_t panel_bytes = PanelBytes(linear.format, linear.k);
  for (int64_t column = part.column_begin; column < part.column_end; column += kSplit) {
    const auto* w = reinterpret_cast<const typename T::Storage*>(
                        static_cast<const char*>(linear.weights) + column / kPanel * panel_bytes) +
                    column % kPanel * kPairs;
    for (int64_t row = part.row_begin; row < part.row_end; ++row) {
      const auto* x = reinterpret_cast<const float*>(static_cast<const char*>(rows) +
                                                     (row - part.row_begin) * stride);
      float sums[kSplit] = {};
      for (int64_t k = 0; k < linear.k; ++k) {
        const auto* wk = w + k / kPairs * kPanel * kPairs + k % kPairs;
        for (int64_t c = 0; c < kSplit; ++c) sums[c] += x[k] * T::Load(wk + c * kPairs);
      }
      packed::StoreRow<kLanesOfPlain>(linear, row, column,
                                      std::min(column + kSplit, part.column_end), sums);
    }
  }
}

void Run(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  switch (linear.format.weights) {
    case WeightType::kF32:
      return RunOf<lanes::F32, 1>(linear, rows, part);
    case WeightType::kBF16:
      return RunOf<lanes::BF16, 2>(linear, rows, part);
    case WeightType::kF16:
      return RunOf<lanes::F16, 1>(linear, rows, part);
    case WeightType::kInt8:
    case WeightType::kInt4:
      return;  // not taken
  }
}

}  // namespace

void AppendPackedFloatPlain(std::vector<PackedLinearVariant>* variants) {
  variants->push_back({"plain", Takes, RowBytes, Convert, Run, true});
}

}  // namespace keel

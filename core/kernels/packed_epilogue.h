// What all kernels of packed linears do with their sums. For kernels' .cc files only, as lanes.h.
#ifndef KEEL_CORE_KERNELS_PACKED_EPILOGUE_H_
#define KEEL_CORE_KERNELS_PACKED_EPILOGUE_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/kernels/lanes.h"
#include "core/kernels/packed_linear.h"

namespace keel::packed {

// Columns [column, end) of a row of y from their sums, which are whole lines of fp32: lanes past `end` may hold anything.
template <int kWidth, typename T>
KEEL_INLINE void StoreRowOf(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
                            const float* sums) {
  using S = typename T::Storage;
  S* y = static_cast<S*>(linear.y) + row * linear.ldy;
  const S* residual = linear.residual == nullptr
                          ? nullptr
                          : static_cast<const S*>(linear.residual) + row * linear.ldr;
  for (; column < end; column += lanes::kLanes, sums += lanes::kLanes) {
    const int64_t count = std::min<int64_t>(lanes::kLanes, end - column);
    lanes::F32x16<kWidth> x, other;
    lanes::F32::LoadLanes<kWidth>(sums, &x);
    if (count == lanes::kLanes) {
      if (linear.bias != nullptr) {
        lanes::F32::LoadLanes<kWidth>(linear.bias + column, &other);
        x += other;
      }
      if (residual != nullptr) {
        T::template RoundLanes<kWidth>(&x);
        T::template LoadLanes<kWidth>(residual + column, &other);
        x += other;
      }
      T::template StoreLanes<kWidth>(x, y + column);
    } else {
      float bias[lanes::kLanes] = {};
      S padded[lanes::kLanes] = {};
      if (linear.bias != nullptr) std::memcpy(bias, linear.bias + column, count * sizeof(float));
      lanes::F32::LoadLanes<kWidth>(bias, &other);
      x += other;
      if (residual != nullptr) {
        std::memcpy(padded, residual + column, count * sizeof(S));
        T::template RoundLanes<kWidth>(&x);
        T::template LoadLanes<kWidth>(padded, &other);
        x += other;
      }
      T::template StoreLanes<kWidth>(x, padded);
      std::memcpy(y + column, padded, count * sizeof(S));
    }
  }
}

template <int kWidth>
KEEL_INLINE void StoreRow(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
                          const float* sums) {
  switch (linear.type) {
    case KernelType::kF32:
      return StoreRowOf<kWidth, lanes::F32>(linear, row, column, end, sums);
    case KernelType::kBF16:
      return StoreRowOf<kWidth, lanes::BF16>(linear, row, column, end, sums);
    case KernelType::kF16:
      return StoreRowOf<kWidth, lanes::F16>(linear, row, column, end, sums);
  }
}

// Inputs [k, k + count) of row `row` of x in fp32.
template <int kWidth, typename T>
KEEL_INLINE void WidenPartOf(const PackedLinear& linear, int64_t row, int64_t k, int64_t count,
                             float* out) {
  const auto* x = static_cast<const typename T::Storage*>(linear.x) + row * linear.ldx + k;
  int64_t i = 0;
  for (; i + lanes::kLanes <= count; i += lanes::kLanes) {
    lanes::F32x16<kWidth> wide;
    T::template LoadLanes<kWidth>(x + i, &wide);
    lanes::F32::StoreLanes<kWidth>(wide, out + i);
  }
  for (; i < count; ++i) out[i] = T::Load(x + i);
}

template <int kWidth>
KEEL_INLINE void WidenPart(const PackedLinear& linear, int64_t row, int64_t k, int64_t count,
                           float* out) {
  switch (linear.type) {
    case KernelType::kF32:
      return WidenPartOf<kWidth, lanes::F32>(linear, row, k, count, out);
    case KernelType::kBF16:
      return WidenPartOf<kWidth, lanes::BF16>(linear, row, k, count, out);
    case KernelType::kF16:
      return WidenPartOf<kWidth, lanes::F16>(linear, row, k, count, out);
  }
}

// All of it.
template <int kWidth>
KEEL_INLINE void WidenRow(const PackedLinear& linear, int64_t row, float* out) {
  WidenPart<kWidth>(linear, row, 0, linear.k, out);
}

}  // namespace keel::packed

#endif  // KEEL_CORE_KERNELS_PACKED_EPILOGUE_H_

// How weights lie in panels. Formats of integers are in files of their own.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "absl/base/internal/raw_logging.h"
#include "core/kernels/packed_int.h"
#include "core/kernels/packed_linear.h"

namespace keel {
namespace {

// So many inputs of 64 rows are moved before the next, that what is written stays in L1.
constexpr int64_t kBlock = 16;

template <typename From, typename To>
typename To::Storage Convert(const typename From::Storage* p) {
  if constexpr (std::is_same_v<From, To>) {
    return *p;  // with the bits of its NaNs
  } else {
    return To::Store(From::Load(p));
  }
}

// Element (k, column) of a panel is at (k / kPairs * kPanel + column) * kPairs + k % kPairs.
template <typename From, typename To, int kPairs>
void PackPanel(const PlainWeights& weights, int64_t panel, typename To::Storage* out) {
  const auto* w = static_cast<const typename From::Storage*>(weights.w);
  const int64_t first = panel * kPanel;
  const int64_t columns = std::min(kPanel, weights.n - first);
  const int64_t padded_k = (weights.k + kPairs - 1) / kPairs * kPairs;
  if (columns < kPanel || padded_k != weights.k) {
    std::fill(out, out + padded_k * kPanel, typename To::Storage{});
  }
  for (int64_t begin = 0; begin < weights.k; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, weights.k);
    for (int64_t column = 0; column < columns; ++column) {
      const auto* row = w + (first + column) * weights.ldw;
      typename To::Storage* to = out + column * kPairs;
      for (int64_t k = begin; k < end; ++k) {
        to[k / kPairs * kPanel * kPairs + k % kPairs] = Convert<From, To>(row + k);
      }
    }
  }
}

template <typename To, int kPairs>
void PackPanelFrom(const PlainWeights& weights, int64_t panel, void* out) {
  auto* to = static_cast<typename To::Storage*>(out);
  switch (weights.type) {
    case KernelType::kF32:
      return PackPanel<lanes::F32, To, kPairs>(weights, panel, to);
    case KernelType::kBF16:
      return PackPanel<lanes::BF16, To, kPairs>(weights, panel, to);
    case KernelType::kF16:
      return PackPanel<lanes::F16, To, kPairs>(weights, panel, to);
  }
}

template <typename T, int kPairs>
void UnpackPanelOf(int64_t k, const void* panel, float* out) {
  const auto* from = static_cast<const typename T::Storage*>(panel);
  for (int64_t column = 0; column < kPanel; ++column) {
    for (int64_t i = 0; i < k; ++i) {
      out[column * k + i] = T::Load(from + (i / kPairs * kPanel + column) * kPairs + i % kPairs);
    }
  }
}

}  // namespace

int64_t PanelBytes(const PackedFormat& format, int64_t k) {
  switch (format.weights) {
    case WeightType::kF32:
      return k * kPanel * 4;
    case WeightType::kBF16:
      return (k + 1) / 2 * kPanel * 4;
    case WeightType::kF16:
      return k * kPanel * 2;
    case WeightType::kInt8:
    case WeightType::kInt4:
      if (format.group != 32 && format.group != 64 && format.group != 128) break;
      return packed::IntLayout(format, k).PanelBytes();
  }
  ABSL_RAW_LOG(FATAL, "no layout for groups of %d inputs", static_cast<int>(format.group));
}

void PackPanels(const PackedFormat& format, const PlainWeights& weights, int64_t begin, int64_t end,
                void* packed) {
  const int64_t bytes = PanelBytes(format, weights.k);
  for (int64_t panel = begin; panel < end; ++panel) {
    void* out = static_cast<char*>(packed) + panel * bytes;
    switch (format.weights) {
      case WeightType::kF32:
        PackPanelFrom<lanes::F32, 1>(weights, panel, out);
        break;
      case WeightType::kBF16:
        PackPanelFrom<lanes::BF16, 2>(weights, panel, out);
        break;
      case WeightType::kF16:
        PackPanelFrom<lanes::F16, 1>(weights, panel, out);
        break;
      case WeightType::kInt8:
      case WeightType::kInt4:
        packed::PackIntPanel(format, weights, panel, out);
        break;
    }
  }
}

void UnpackPanel(const PackedFormat& format, int64_t k, const void* panel, float* out) {
  switch (format.weights) {
    case WeightType::kF32:
      return UnpackPanelOf<lanes::F32, 1>(k, panel, out);
    case WeightType::kBF16:
      return UnpackPanelOf<lanes::BF16, 2>(k, panel, out);
    case WeightType::kF16:
      return UnpackPanelOf<lanes::F16, 1>(k, panel, out);
    case WeightType::kInt8:
    case WeightType::kInt4:
      return packed::UnpackIntPanel(format, k, panel, out);
  }
}

}  // namespace keel

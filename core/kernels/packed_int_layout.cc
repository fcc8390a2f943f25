// Panels of integers from plain weights and back.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/kernels/packed_int.h"
#include "core/kernels/weight_quantizer.h"

namespace keel::packed {
namespace {

template <typename T>
void WidenWeights(const PlainWeights& weights, int64_t row, int64_t k, int64_t count, float* out) {
  const auto* w = static_cast<const typename T::Storage*>(weights.w) + row * weights.ldw + k;
  for (int64_t i = 0; i < count; ++i) out[i] = T::Load(w + i);
}

void Widen(const PlainWeights& weights, int64_t row, int64_t k, int64_t count, float* out) {
  switch (weights.type) {
    case KernelType::kF32:
      return WidenWeights<lanes::F32>(weights, row, k, count, out);
    case KernelType::kBF16:
      return WidenWeights<lanes::BF16>(weights, row, k, count, out);
    case KernelType::kF16:
      return WidenWeights<lanes::F16>(weights, row, k, count, out);
  }
}

// Eight codes of an output into a step; `at` is where its output begins.
void StoreStep(bool int4, const uint8_t* codes, uint8_t* at) {
  if (int4) {
    for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(codes[i] | codes[4 + i] << 4);
  } else {
    std::memcpy(at, codes, 4);
    std::memcpy(at + kPanel * 4, codes + 4, 4);
  }
}

void LoadStep(bool int4, const uint8_t* at, uint8_t* codes) {
  for (int i = 0; i < 4; ++i) {
    codes[i] = int4 ? at[i] & 15 : at[i];
    codes[4 + i] = int4 ? at[i] >> 4 : at[kPanel * 4 + i];
  }
}

}  // namespace

void PackIntPanel(const PackedFormat& format, const PlainWeights& weights, int64_t panel,
                  void* out) {
  const IntLayout layout(format, weights.k);
  const bool int4 = format.weights == WeightType::kInt4;
  for (int64_t g = 0; g < layout.groups; ++g) {
    uint8_t* group = static_cast<uint8_t*>(out) + g * layout.GroupBytes();
    const int64_t k = g * layout.group_steps * kStep;
    const int64_t count = layout.StepsOf(g) * kStep;
    const int64_t present = std::min(count, weights.k - k);
    for (int64_t column = 0; column < kPanel; ++column) {
      float w[kMaxGroup] = {};
      const int64_t row = panel * kPanel + column;
      if (row < weights.n) Widen(weights, row, k, present, w);
      uint8_t codes[kMaxGroup];
      const _Float16 scale = int4 ? QuantizeInt4Group(w, count, kInt4Levels, kInt4Zero, codes)
                                  : QuantizeInt8Group(w, count, codes);
      std::memcpy(group + column * sizeof(scale), &scale, sizeof(scale));
      uint8_t* at = group + kScaleBytes + column * 4;
      for (int64_t i = 0; i < count; i += kStep, at += layout.step_bytes) {
        StoreStep(int4, codes + i, at);
      }
    }
  }
}

void UnpackIntPanel(const PackedFormat& format, int64_t k, const void* panel, float* out) {
  const IntLayout layout(format, k);
  const bool int4 = format.weights == WeightType::kInt4;
  for (int64_t i = 0; i < k; ++i) {
    const int64_t step = i / kStep, g = step / layout.group_steps;
    const uint8_t* group = static_cast<const uint8_t*>(panel) + g * layout.GroupBytes();
    for (int64_t column = 0; column < kPanel; ++column) {
      _Float16 scale;
      std::memcpy(&scale, group + column * sizeof(scale), sizeof(scale));
      uint8_t codes[kStep];
      LoadStep(
          int4,
          group + kScaleBytes + (step - g * layout.group_steps) * layout.step_bytes + column * 4,
          codes);
      const int code = codes[i % kStep];
      out[column * k + i] =
          static_cast<float>(scale) *
          static_cast<float>(int4 ? kInt4Levels[code] - kInt4Zero : code - kInt8Zero);
    }
  }
}

}  // namespace keel::packed

// Weights of integers, in loops.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_int.h"

namespace keel {
namespace packed {
namespace {

// Where input i of half a step is in kWords.
constexpr int kWordOrder[4] = {0, 2, 1, 3};

}  // namespace

QuantizedGroup QuantizeGroupPlain(const float* x, int64_t steps, RowKind kind, int max,
                                  uint8_t* out, int64_t stride) {
  uint32_t bits =
      0;  // of the greatest absolute value; those of infinities and NaNs are greater than all others
  for (int64_t i = 0; i < steps * kStep; ++i) {
    uint32_t b;
    std::memcpy(&b, x + i, sizeof(b));
    bits = std::max(bits, b & 0x7fffffffu);
  }
  float greatest;
  std::memcpy(&greatest, &bits, sizeof(greatest));
  QuantizedGroup group = {greatest / static_cast<float>(max), 0};
  float inverse = static_cast<float>(max) / greatest;
  if (!(greatest <= std::numeric_limits<float>::max())) {
    group.scale = std::numeric_limits<float>::quiet_NaN();
    inverse = 0;
  } else if (greatest < kLeastX) {
    group.scale = inverse = 0;
  }
  for (int64_t half = 0; half < 2 * steps; ++half, x += 4, out += stride) {
    for (int64_t i = 0; i < 4; ++i) {
      const int q = static_cast<int>(std::nearbyint(inverse == 0 ? 0.0f : x[i] * inverse));
      group.sum += q;
      switch (kind) {
        case RowKind::kBytes:
          out[i] = static_cast<uint8_t>(q);
          break;
        case RowKind::kSplit:
          out[i] = static_cast<uint8_t>((q + 128) >> 8);
          out[4 + i] = static_cast<uint8_t>(q);
          break;
        case RowKind::kPlanes:
          out[i] = static_cast<uint8_t>((q + 128) >> 8);
          out[kPlane + i] = static_cast<uint8_t>(q);
          break;
        case RowKind::kWords: {
          const int16_t word = static_cast<int16_t>(q);
          std::memcpy(out + 2 * kWordOrder[i], &word, sizeof(word));
          break;
        }
      }
    }
  }
  return group;
}

namespace {

void Dot(const IntBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const uint8_t* x = b.x + r * 8;
    for (int64_t g = 0; g < b.groups; ++g) {
      const int64_t steps = g + 1 < b.groups ? b.group_steps : b.last_steps;
      const auto* scales = reinterpret_cast<const _Float16*>(
          reinterpret_cast<const char*>(b.scales) + g * b.scale_stride);
      int32_t dots[kPanel];
      std::fill(dots, dots + b.columns, b.x_offsets[g * b.rows + r]);
      const uint8_t* w = b.weights + g * b.weight_stride;
      for (int64_t half = 0; half < 2 * steps; ++half, x += b.rows * 8, w += kPanel * 4) {
        for (int64_t i = 0; i < 4; ++i) {
          int16_t q;
          std::memcpy(&q, x + 2 * kWordOrder[i], sizeof(q));
          for (int64_t c = 0; c < b.columns; ++c) dots[c] += w[c * 4 + i] * q;
        }
      }
      for (int64_t c = 0; c < b.columns; ++c) {
        float& sum = b.sums[r * kPanel + c];
        const float scaled = static_cast<float>(dots[c]) * b.x_scales[g * b.rows + r];
        sum = std::fma(scaled, static_cast<float>(scales[c]), sum);
      }
    }
  }
}

void Expand(const uint8_t* weights, int64_t steps, int64_t columns, uint8_t* out) {
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t i = 0; i < columns * 4; ++i) {
      const uint8_t byte = weights[step * kPanel * 4 + i];
      out[step * 2 * kPanel * 4 + i] = kInt4Levels[byte & 15];
      out[(step * 2 + 1) * kPanel * 4 + i] = kInt4Levels[byte >> 4];
    }
  }
}

void Widen(const PackedLinear& linear, int64_t row, int64_t k, int64_t count, float* out) {
  WidenPart<4>(linear, row, k, count, out);
}

void Store(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
           const float* sums) {
  StoreRow<4>(linear, row, column, end, sums);
}

const IntKernel& KernelOf(const PackedFormat&) {
  static constexpr IntKernel kKernel = {.kind = RowKind::kWords,
                                        .tile_rows = 4,
                                        .nibble_rows = 0,
                                        .dot = Dot,
                                        .expand = Expand,
                                        .quantize = QuantizeGroupPlain,
                                        .widen = Widen,
                                        .store = Store};
  return kKernel;
}

}  // namespace
}  // namespace packed

void AppendPackedIntPlain(std::vector<PackedLinearVariant>* variants) {
  variants->push_back(packed::IntVariant<packed::KernelOf>("plain"));
}

}  // namespace keel

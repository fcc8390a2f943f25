// Weights of integers: how they lie in a panel, and how a row of x is quantized to be multiplied with them.
//
//   y[m, n] = sum_g weight_scale[n, g] * x_scale[m, g] * sum_{k in g} (code[n, k] - zero) * q[m, k]
//
// over groups g of inputs along k. Within a group sums are of integers, in int32, and exact. Over groups they are in
// fp32, in the order of k, by sum = fma(float(dot) * x_scale, weight_scale, sum). So every variant gives the same bits,
// whatever the number of rows and threads.
//
// For kernels' .cc files only.
#ifndef KEEL_CORE_KERNELS_PACKED_INT_H_
#define KEEL_CORE_KERNELS_PACKED_INT_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/kernels/lanes.h"
#include "core/kernels/packed_linear.h"
#include "core/kernels/packed_linear_variants.h"

namespace keel::packed {

// ---- Weights

// Inputs are taken so many at a time; k is rounded up to it, with zeros.
inline constexpr int64_t kStep = 8;
inline constexpr int64_t kMaxGroup = 128;
// A group of 64 outputs begins with their scales, fp16.
inline constexpr int64_t kScaleBytes = kPanel * 2;

// Weights of kInt8 are stored as q + 128, q in [-128, 127].
inline constexpr int kInt8Zero = 128;

// What the 16 codes of kInt4 stand for, zero added. They are denser in the middle, as weights are: of normal and of
// heavier-tailed ones in groups of 32 the squared error is half to four fifths of that of 16 equidistant levels
// (weight_quantizer_test.cc prints it). They fit 6 bits, so that four products with 8-bit numbers can be added in 16.
inline constexpr int kInt4Zero = 32;
alignas(16) inline constexpr uint8_t kInt4Levels[16] = {0,  8,  13, 17, 21, 24, 27, 30,
                                                        32, 34, 37, 40, 43, 47, 52, 58};

inline bool IsInt(const PackedFormat& format) {
  return format.weights == WeightType::kInt8 || format.weights == WeightType::kInt4;
}

// A panel is its groups one after the other, the last one perhaps shorter. A group is [64] scales, then its steps:
//   kInt8  [2][64][4]: inputs 0..3 of each output, then inputs 4..7
//   kInt4  [64][4]: the low halves of an output's bytes are inputs 0..3, the high ones 4..7
struct IntLayout {
  int64_t group_steps;  // of all groups but the last
  int64_t steps, groups;
  int64_t step_bytes;

  IntLayout(const PackedFormat& format, int64_t k)
      : group_steps(format.group / kStep),
        steps((k + kStep - 1) / kStep),
        groups((steps + group_steps - 1) / group_steps),
        step_bytes(kPanel * kStep / (format.weights == WeightType::kInt4 ? 2 : 1)) {}

  int64_t StepsOf(int64_t group) const {
    return std::min(group_steps, steps - group * group_steps);
  }
  int64_t GroupBytes() const { return group_steps * step_bytes + kScaleBytes; }
  int64_t PanelBytes() const { return steps * step_bytes + groups * kScaleBytes; }
};

// Of one panel, as their namesakes without Int.
void PackIntPanel(const PackedFormat& format, const PlainWeights& weights, int64_t panel,
                  void* out);
void UnpackIntPanel(const PackedFormat& format, int64_t k, const void* panel, float* out);

// ---- Rows of x

// How four quantized inputs lie, half a step.
enum class RowKind {
  kBytes,   // int8_t[4]
  kSplit,   // int8_t[2][4]: numbers of 16 bits, high * 256 + low
  kWords,   // int16_t[4], in the order 0 2 1 3: factors of the even and the odd bytes of 32 bits
  kPlanes,  // int8_t[4]: as kSplit, but the low bytes lie kPlane behind the high ones
};
inline constexpr int64_t HalfStepBytes(RowKind kind) {
  return kind == RowKind::kBytes || kind == RowKind::kPlanes ? 4 : 8;
}
inline constexpr int64_t kPlane = kMaxGroup;

// The greatest |q|. Of 16 bits it is the one that splits into two signed bytes.
inline int MaxQuantized(const PackedFormat& format) {
  return format.weights == WeightType::kInt8 && !format.int8_activations ? 127 * 256 : 127;
}

// Groups without a greater number are zeros: beyond lie quotients that are infinite.
inline constexpr float kLeastX = 1e-30f;

// Quantizes a group of fp32 x into half steps `stride` bytes apart: q = round(x / scale). Returns scale and the sum of
// q. The scale of a group with an infinity or a NaN is NaN, of one whose numbers are all next to nothing 0.
struct QuantizedGroup {
  float scale;
  int32_t sum;
};
using QuantizeGroup = QuantizedGroup (*)(const float* x, int64_t steps, RowKind kind, int max,
                                         uint8_t* out, int64_t stride);
QuantizedGroup QuantizeGroupPlain(const float* x, int64_t steps, RowKind kind, int max,
                                  uint8_t* out, int64_t stride);
#if defined(__x86_64__)
QuantizedGroup QuantizeGroupAvx2(const float* x, int64_t steps, RowKind kind, int max, uint8_t* out,
                                 int64_t stride);
#endif

// ---- What an instruction set has to bring

// Some groups of a panel times a tile of rows.
struct IntBlock {
  int64_t rows = 0;
  int64_t columns = 0;  // kPanel or kSplit
  int64_t groups = 0, group_steps = 0, last_steps = 0;
  // From the first column on, of the first group: [steps][2][kPanel][4], what codes stand for, or with `nibbles` a
  // group of kInt4 as it is packed; and scales. Bytes to the next group's.
  bool nibbles = false;
  const uint8_t* weights = nullptr;
  const _Float16* scales = nullptr;
  int64_t weight_stride = 0, scale_stride = 0;
  const uint8_t* x = nullptr;          // [steps][2][rows][HalfStepBytes]
  const float* x_scales = nullptr;     // [groups][rows]
  const int32_t* x_offsets = nullptr;  // [groups][rows]: -zero * (sum of q)
  float* sums = nullptr;               // [rows][kPanel], added to
  bool is_only_tile = false;  // that these weights meet: they come from memory as they are read
  // To be asked for ahead of its use: two lines every half step, so many bytes on each time.
  const uint8_t* ahead = nullptr;
  int64_t ahead_stride = 0;
};

struct IntKernel {
  RowKind kind;
  int64_t tile_rows;    // at most kMaxTileRows; `dot` takes 1 .. as many
  int64_t nibble_rows;  // `dot` takes nibbles with so many
  void (*dot)(const IntBlock& block);
  // Looks codes of kInt4 up: `steps` steps of `columns` columns to [steps][2][kPanel][4].
  void (*expand)(const uint8_t* weights, int64_t steps, int64_t columns, uint8_t* out);
  QuantizeGroup quantize;
  // Inputs [k, k + count) of a row of x in fp32.
  void (*widen)(const PackedLinear& linear, int64_t row, int64_t k, int64_t count, float* out);
  // As StoreRow of packed_epilogue.h.
  void (*store)(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
                const float* sums);
};
inline constexpr int64_t kMaxTileRows = 6;

// A PackedLinearVariant's functions for a kernel.
bool TakesInt(const PackedFormat& format, KernelType type);
int64_t IntRowBytes(const IntKernel& kernel, const PackedFormat& format, int64_t k);
void ConvertIntRows(const IntKernel& kernel, const PackedLinear& linear, int64_t row_begin,
                    int64_t row_end, void* rows);
void RunInt(const IntKernel& kernel, const PackedLinear& linear, const void* rows,
            const PackedLinearPart& part);

template <const IntKernel& (*kKernel)(const PackedFormat&)>
PackedLinearVariant IntVariant(std::string name) {
  return {
      std::move(name),
      TakesInt,
      [](const PackedFormat& format, int64_t k) { return IntRowBytes(kKernel(format), format, k); },
      [](const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
        ConvertIntRows(kKernel(linear.format), linear, row_begin, row_end, rows);
      },
      [](const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
        RunInt(kKernel(linear.format), linear, rows, part);
      },
      /*invariant=*/true};
}

}  // namespace keel::packed

#endif  // KEEL_CORE_KERNELS_PACKED_INT_H_

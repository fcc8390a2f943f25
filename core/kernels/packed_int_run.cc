// Which part of the weights meets which rows, for kernels of all instruction sets.
#include <algorithm>
#include <cstdint>

#include "core/kernels/packed_int.h"

namespace keel::packed {
namespace {

// Weights are taken in blocks of so many inputs, which stay in L1 while tiles of rows are multiplied with them: 8 KiB
// of codes beside as many rows of x.
constexpr int64_t kBlock = 128;
// Rows that a block is multiplied with before the next one.
constexpr int64_t kChunk = 24;
constexpr int64_t kAhead = 128;  // bytes that a kernel asks for every half step

// How a tile of rows lies: [half steps][rows], then the groups' scales, then their offsets.
struct RowLayout {
  int64_t step_bytes, steps, groups;  // bytes of a row

  RowLayout(RowKind kind, const IntLayout& weights)
      : step_bytes(2 * HalfStepBytes(kind)), steps(weights.steps), groups(weights.groups) {}

  int64_t RowBytes() const {
    return (steps * step_bytes + groups * 8 + 63) / 64 * 64;  // a scale and an offset
  }
  int64_t ScalesAt(int64_t rows) const { return rows * steps * step_bytes; }
  int64_t OffsetsAt(int64_t rows) const { return ScalesAt(rows) + rows * groups * 4; }
};

}  // namespace

bool TakesInt(const PackedFormat& format, KernelType) {
  return IsInt(format) && (format.group == 32 || format.group == 64 || format.group == 128);
}

int64_t IntRowBytes(const IntKernel& kernel, const PackedFormat& format, int64_t k) {
  return RowLayout(kernel.kind, IntLayout(format, k)).RowBytes();
}

void ConvertIntRows(const IntKernel& kernel, const PackedLinear& linear, int64_t row_begin,
                    int64_t row_end, void* rows) {
  const IntLayout weights(linear.format, linear.k);
  const RowLayout layout(kernel.kind, weights);
  const int max = MaxQuantized(linear.format);
  const int zero = linear.format.weights == WeightType::kInt8 ? kInt8Zero : kInt4Zero;
  alignas(64) float wide[kMaxGroup];
  for (int64_t first = row_begin; first < row_end; first += kernel.tile_rows) {
    uint8_t* tile = static_cast<uint8_t*>(rows) + (first - row_begin) * layout.RowBytes();
    const int64_t height = std::min(kernel.tile_rows, row_end - first);
    float* scales = reinterpret_cast<float*>(tile + layout.ScalesAt(height));
    int32_t* offsets = reinterpret_cast<int32_t*>(tile + layout.OffsetsAt(height));
    for (int64_t r = 0; r < height; ++r) {
      for (int64_t g = 0; g < weights.groups; ++g) {
        const int64_t step = g * weights.group_steps, steps = weights.StepsOf(g);
        const int64_t count = std::min(linear.k - step * kStep, steps * kStep);
        kernel.widen(linear, first + r, step * kStep, count, wide);
        std::fill(wide + count, wide + steps * kStep, 0.0f);
        const int64_t half_step = layout.step_bytes / 2;
        const QuantizedGroup group =
            kernel.quantize(wide, steps, kernel.kind, max,
                            tile + (2 * step * height + r) * half_step, height * half_step);
        scales[g * height + r] = group.scale;
        offsets[g * height + r] = -zero * group.sum;
      }
    }
  }
}

void RunInt(const IntKernel& kernel, const PackedLinear& linear, const void* rows,
            const PackedLinearPart& part) {
  const IntLayout layout(linear.format, linear.k);
  const RowLayout row_layout(kernel.kind, layout);
  const bool int4 = linear.format.weights == WeightType::kInt4;
  const int64_t m = part.row_end - part.row_begin;
  const bool nibbles = int4 && m <= kernel.nibble_rows;
  const bool expand = int4 && !nibbles;
  // A single tile takes weights straight from memory.
  const bool is_only_tile = !expand && m <= kernel.tile_rows;
  const int64_t block_groups = is_only_tile ? layout.groups : kBlock / linear.format.group;
  const int64_t chunk = kChunk / kernel.tile_rows * kernel.tile_rows;
  alignas(64) float sums[kChunk * kPanel];
  alignas(64) uint8_t codes[kBlock * kPanel];

  for (int64_t column = part.column_begin, end; column < part.column_end; column = end) {
    const uint8_t* panel =
        static_cast<const uint8_t*>(linear.weights) + column / kPanel * layout.PanelBytes();
    const int64_t in_panel = column % kPanel;
    end = std::min(column - in_panel + kPanel, part.column_end);
    IntBlock block;
    block.columns = end - column > kSplit ? kPanel : kSplit;
    block.group_steps = layout.group_steps;
    block.nibbles = nibbles;
    block.is_only_tile = is_only_tile;
    block.scale_stride = layout.GroupBytes();
    for (int64_t chunk_begin = 0; chunk_begin < m; chunk_begin += chunk) {
      const int64_t chunk_end = std::min(chunk_begin + chunk, m);
      std::fill(sums, sums + (chunk_end - chunk_begin) * kPanel, 0.0f);
      for (int64_t g = 0; g < layout.groups; g += block_groups) {
        block.groups = std::min(block_groups, layout.groups - g);
        block.last_steps = layout.StepsOf(g + block.groups - 1);
        const uint8_t* group = panel + g * layout.GroupBytes();
        const uint8_t* weights = group + kScaleBytes + in_panel * 4;
        block.scales = reinterpret_cast<const _Float16*>(group) + in_panel;
        if (expand) {
          block.weight_stride = layout.group_steps * kStep * kPanel;
          for (int64_t i = 0; i < block.groups; ++i) {
            kernel.expand(weights + i * layout.GroupBytes(), layout.StepsOf(g + i), block.columns,
                          codes + i * block.weight_stride);
          }
          block.weights = codes;
        } else {
          block.weight_stride = layout.GroupBytes();
          block.weights = weights;
        }
        const int64_t step = g * layout.group_steps;
        for (int64_t row = chunk_begin; row < chunk_end; row += kernel.tile_rows) {
          const uint8_t* tile = static_cast<const uint8_t*>(rows) + row * row_layout.RowBytes();
          block.rows = std::min(kernel.tile_rows, chunk_end - row);
          block.x = tile + step * block.rows * row_layout.step_bytes;
          block.x_scales = reinterpret_cast<const float*>(tile + row_layout.ScalesAt(block.rows)) +
                           g * block.rows;
          block.x_offsets =
              reinterpret_cast<const int32_t*>(tile + row_layout.OffsetsAt(block.rows)) +
              g * block.rows;
          block.sums = sums + (row - chunk_begin) * kPanel;
          // The first tiles ask for the next block, in shares; the others for what they have.
          const int64_t asked = (row - chunk_begin) / kernel.tile_rows * kBlock / 4 * kAhead;
          const bool asks = chunk_begin == 0 && m > kernel.tile_rows &&
                            asked < block.groups * layout.GroupBytes();
          block.ahead = asks ? group + block.groups * layout.GroupBytes() + asked : block.x;
          block.ahead_stride = asks ? kAhead : 0;
          kernel.dot(block);
        }
      }
      for (int64_t row = chunk_begin; row < chunk_end; ++row) {
        kernel.store(linear, part.row_begin + row, column, end,
                     sums + (row - chunk_begin) * kPanel);
      }
    }
  }
}

}  // namespace keel::packed

// Products of bf16 by tiles of AMX. Weights of bf16 with any number of rows: with one, too, memory is slower than the
// tiles. Weights of integers with many rows: they become bf16, once for all rows, which costs less than to keep to
// integers, whose sums would have to leave the tiles after each group.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/kernels/packed_linear_variants.h"

#if defined(__x86_64__)
#include "core/kernels/amx_tiles.h"
#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_int.h"

namespace keel {
namespace {

using amx::kTileInputs, amx::kTileRows;

// Weights come from memory slower than tiles multiply, and x from L3 slower than from L2. So a few panels are computed at
// once, by blocks of kBlock inputs: x stays in L2 until all of them have met it, a tile of rows at a time, and sums wait
// there for the next block. A block of a panel, which stays in L1, is read in the order of memory and asked for in
// advance, a few lines with each tile: more at once would keep tiles waiting for x.
constexpr int64_t kMostRows = 256;
constexpr int64_t kPanels = 4;
constexpr int64_t kBlock = 256;

int64_t TilesOf(int64_t k) { return (k + kTileInputs - 1) / kTileInputs; }

// Few rows read one stream of weights from end to end, of which kAhead bytes behind what is read are asked for. What a
// tile of rows takes is one block, but for a rest of k; two tiles take it in turn, from L1.
constexpr int64_t kAhead = 8 << 10;
bool IsOneStream(const PackedLinear& linear, int64_t rows) {
  return rows <= 2 * kTileRows && linear.format.weights == WeightType::kBF16;
}

int64_t BlockInputs(const PackedLinear& linear, int64_t rows) {
  return rows <= kTileRows && IsOneStream(linear, rows)
             ? std::max(linear.k / kTileInputs, int64_t{1}) * kTileInputs
             : kBlock;
}

// Rows of x by blocks of inputs, tile by tile, with zeros past k: [blocks][tiles of rows][tiles of inputs][rows][64 bytes].
int64_t RowBytes(const PackedFormat&, int64_t k) { return TilesOf(k) * 64; }

// A tile of `rows` rows from `x` on, of `count` inputs.
void ConvertTile(const uint16_t* x, int64_t ldx, int64_t rows, int64_t count, char* out) {
  if (count == kTileInputs) {  // a size that the compiler knows
    for (int64_t row = 0; row < rows; ++row) std::memcpy(out + row * 64, x + row * ldx, 64);
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(out + row * 64, x + row * ldx, count * 2);
    std::memset(out + row * 64 + count * 2, 0, 64 - count * 2);
  }
}

void Convert(const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
  const int64_t inputs = BlockInputs(linear, row_end - row_begin);
  auto* out = static_cast<char*>(rows);
  for (int64_t begin = 0; begin < linear.k; begin += inputs) {
    const int64_t end = std::min(begin + inputs, linear.k);
    for (int64_t row = row_begin; row < row_end; row += kTileRows) {
      const int64_t height = std::min(kTileRows, row_end - row);
      const auto* x = static_cast<const uint16_t*>(linear.x) + row * linear.ldx;
      for (int64_t k = begin; k < end; k += kTileInputs, out += height * 64)
        ConvertTile(x + k, linear.ldx, height, std::min(kTileInputs, end - k), out);
    }
  }
}

// Memory of a thread.
struct Scratch {
  alignas(64) float sums[kPanels * kMostRows * kPanel];
  // Of a block, in bf16: [pairs of inputs][columns][2].
  alignas(64) char weights[kBlock / 2 * kPanel * 4];

  static Scratch& OfThread() {
    static thread_local const std::unique_ptr<Scratch> scratch(new Scratch);
    return *scratch;
  }
};

KEEL_TARGET_AVX512 void Store(const PackedLinear& linear, const PackedLinearPart& part,
                              int64_t column, int64_t end, const float* sums) {
  for (int64_t row = part.row_begin; row < part.row_end; ++row, sums += kPanel) {
    packed::StoreRow<16>(linear, row, column, end, sums);
  }
}

// Packed weights of inputs from `begin` on of the panel that `column` is in.
const char* PackedAt(const PackedLinear& linear, int64_t column, int64_t begin) {
  return static_cast<const char*>(linear.weights) +
         column / kPanel * PanelBytes(linear.format, linear.k) + PanelBytes(linear.format, begin);
}

// All rows times a block of weights. Every tile asks for its share of `bytes` bytes from `next` on, which come after; of
// few rows the first ones ask for all.
void MultiplyRows(int64_t rows, int64_t columns, amx::Block block, const char* next, int64_t bytes,
                  int64_t asking, amx::Tiles* tiles) {
  const int64_t steps = (asking + kTileRows - 1) / kTileRows * block.tiles;
  block.next = next;
  block.next_lines = (bytes / 64 + steps - 1) / steps;
  for (int64_t row = 0; row < rows; row += kTileRows) {
    const int64_t height = std::min(kTileRows, rows - row);
    if (row >= asking) block.next_lines = 0;
    block.x_step = height * 64;
    tiles->Multiply(height, columns, block);
    block.x += block.tiles * block.x_step;
    block.sums += height * kPanel;
    block.next += block.tiles * block.next_lines * 64;
  }
}

// A variant's `run`. kWeights(linear, begin, column, columns, made, block) gives the block those of its inputs
// from `begin` on, in whole tiles, and `columns` outputs, which lie in one panel. It may make them, in `made`.
template <auto kWeights>
void Run(const PackedLinear& linear, const void* x, const PackedLinearPart& part) {
  const int64_t rows = part.row_end - part.row_begin, inputs = BlockInputs(linear, rows);
  const bool is_one_stream = IsOneStream(linear, rows);
  const int64_t panels_at_once = is_one_stream ? 1 : kPanels;
  Scratch& scratch = Scratch::OfThread();
  amx::Tiles tiles;
  const auto end_of = [&](int64_t column, int64_t panels) {
    return std::min((column / kPanel + panels) * kPanel, part.column_end);
  };
  for (int64_t first = part.column_begin, last = 0; first < part.column_end; first = last) {
    last = end_of(first, panels_at_once);
    const char* block_x = static_cast<const char*>(x);
    for (int64_t begin = 0; begin < linear.k; begin += inputs) {
      const int64_t count = TilesOf(std::min(linear.k - begin, inputs));
      float* sums = scratch.sums;
      for (int64_t column = first, end = 0; column < last; column = end, sums += rows * kPanel) {
        end = end_of(column, 1);
        amx::Block block = {.x = block_x,
                            .x_stride = 64,
                            .tiles = count,
                            .sums = sums,
                            .sum_stride = kPanel * 4,
                            .set = begin == 0};
        const int64_t columns = (end - column + kSplit - 1) / kSplit * kSplit;
        kWeights(linear, begin, column, columns, scratch.weights, &block);
        if (is_one_stream) {
          MultiplyRows(rows, columns, block, PackedAt(linear, column, begin) + kAhead,
                       count * kTileInputs / 2 * kPanel * 4, kTileRows, &tiles);
          continue;
        }
        const int64_t next_begin = end < last ? begin : begin + inputs;
        const int64_t next_inputs = std::clamp<int64_t>(linear.k - next_begin, 0, inputs);
        MultiplyRows(rows, columns, block, PackedAt(linear, end < last ? end : first, next_begin),
                     PanelBytes(linear.format, next_inputs), rows, &tiles);
      }
      block_x += rows * count * 64;
    }
    const float* sums = scratch.sums;
    for (int64_t column = first, end = 0; column < last; column = end, sums += rows * kPanel) {
      end = end_of(column, 1);
      Store(linear, part, column, end, sums);
    }
  }
}

// ---- Weights of bf16

// x that is no bf16 would lose bits.
bool TakesBF16(const PackedFormat& format, KernelType type) {
  return format.weights == WeightType::kBF16 && type == KernelType::kBF16;
}

// As they lie, unless what is behind the last pairs, which may be anything, would come into a tile.
void BF16Weights(const PackedLinear& linear, int64_t begin, int64_t column, int64_t columns,
                 char* made, amx::Block* block) {
  constexpr int64_t kLineBytes = kPanel * 4;  // a pair of inputs of a panel
  block->w = PackedAt(linear, column, begin) + column % kPanel * 4;
  block->w_stride = kLineBytes;
  if (begin + block->tiles * kTileInputs <= linear.k) return;
  const int64_t line = columns * 4;
  for (int64_t i = 0; i < block->tiles * kTileInputs / 2; ++i) {
    if (begin + 2 * i < linear.k) {
      std::memcpy(made + i * line, block->w + i * kLineBytes, line);
    } else {
      std::memset(made + i * line, 0, line);
    }
  }
  block->w = made;
  block->w_stride = line;
}

// ---- Weights of integers

// Below, products of bytes are faster: making bf16 costs as much as some rows. Measured, as those of packed_int_amx.cc,
// on an Intel Xeon with 2 virtual cores.
int64_t LeastIntRows(const PackedFormat& format) { return format.group == 128 ? 96 : 48; }

constexpr int64_t kExpandedLine = kSplit * 4;  // a pair of inputs of kSplit columns in bf16

bool TakesInt(const PackedFormat& format, KernelType type) {
  return packed::TakesInt(format, type) && type == KernelType::kBF16;
}

// GCC 12 warns about its own intrinsics for most of what these types say.
using F32 = lanes::Vector<16>::F32;
using U32 = lanes::Vector<16>::U32;
using I32 = int32_t __attribute__((vector_size(64)));
constexpr __mmask16 kAll = 0xffff;  // of intrinsics with masks, which it does not warn about

// Pairs of bf16, rounded to nearest.
KEEL_TARGET_AMX KEEL_INLINE U32 RoundPair(const F32& low, const F32& high) {
  constexpr uint32_t kHalf = 0x8000;
  return (reinterpret_cast<const U32&>(low) + kHalf) >> 16 |
         ((reinterpret_cast<const U32&>(high) + kHalf) & 0xffff0000u);
}

// Four codes of each of 16 columns: two lines.
KEEL_TARGET_AMX KEEL_INLINE void StoreCodes(const U32& codes, const F32& scale,
                                            const F32& minus_zero, int64_t line, char* out) {
  F32 w[4];
  KEEL_UNROLL for (int i = 0; i < 4; ++i) {
    const I32 code = reinterpret_cast<I32>(codes >> (8 * i) & 255);
    w[i] = __builtin_convertvector(code, F32) * scale + minus_zero;
  }
  *reinterpret_cast<U32*>(out) = RoundPair(w[0], w[1]);
  *reinterpret_cast<U32*>(out + line) = RoundPair(w[2], w[3]);
}

// `steps` steps of a group's weights, which begin at `codes`, times their scales: lines of pairs of kColumns columns.
template <bool kNibbles, int64_t kColumns>
KEEL_TARGET_AMX void Expand(const char* codes, const char* scales, int64_t steps, char* out) {
  constexpr int64_t kHalfStep = kPanel * 4, kLine = kColumns * 4, kVectors = kColumns / 16;
  const __m512i levels = _mm512_maskz_broadcast_i32x4(
      kAll, _mm_load_si128(reinterpret_cast<const __m128i*>(packed::kInt4Levels)));
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  F32 scale[kVectors], minus_zero[kVectors];
  KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
    scale[v] = _mm512_maskz_cvtph_ps(
        kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales) + v));
    minus_zero[v] =
        scale[v] * static_cast<float>(kNibbles ? -packed::kInt4Zero : -packed::kInt8Zero);
  }
  for (int64_t step = 0; step < steps; ++step, out += 4 * kLine) {
    KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
      __m512i first = _mm512_loadu_si512(codes + v * 64), second;
      if constexpr (kNibbles) {
        second = _mm512_shuffle_epi8(levels, (first >> 4) & low_nibbles);
        first = _mm512_shuffle_epi8(levels, first & low_nibbles);
      } else {
        second = _mm512_loadu_si512(codes + kHalfStep + v * 64);
      }
      StoreCodes(reinterpret_cast<U32>(first), scale[v], minus_zero[v], kLine, out + v * 64);
      StoreCodes(reinterpret_cast<U32>(second), scale[v], minus_zero[v], kLine,
                 out + 2 * kLine + v * 64);
    }
    codes += kNibbles ? kHalfStep : 2 * kHalfStep;
  }
}

void IntWeights(const PackedLinear& linear, int64_t begin, int64_t column, int64_t columns,
                char* made, amx::Block* block) {
  const packed::IntLayout layout(linear.format, linear.k);
  const bool nibbles = linear.format.weights == WeightType::kInt4;
  const auto expand = columns == kPanel ? (nibbles ? Expand<true, 64> : Expand<false, 64>)
                                        : (nibbles ? Expand<true, 32> : Expand<false, 32>);
  const int64_t in_panel = column % kPanel, line = columns * 4;
  const int64_t first = begin / linear.format.group;
  const int64_t end = std::min(first + kBlock / linear.format.group, layout.groups);
  const char* group = PackedAt(linear, column, begin);
  char* out = made;
  for (int64_t g = first; g < end; ++g, group += layout.GroupBytes()) {
    const int64_t steps = layout.StepsOf(g);
    expand(group + packed::kScaleBytes + in_panel * 4, group + in_panel * 2, steps, out);
    out += steps * packed::kStep / 2 * line;
  }
  std::fill(out, made + block->tiles * kTileInputs / 2 * line, 0);
  block->w = made;
  block->w_stride = line;
}

}  // namespace

void AppendPackedAmx(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants) {
  if (!cpu.amx_bf16 || !cpu.avx512_bf16) return;
  variants->push_back({.name = "amx_bf16",
                       .takes = TakesBF16,
                       .row_bytes = RowBytes,
                       .convert = Convert,
                       .run = Run<BF16Weights>,
                       .invariant = true,
                       .most_rows = kMostRows});
  variants->push_back({.name = "amx_int",
                       .takes = TakesInt,
                       .row_bytes = RowBytes,
                       .convert = Convert,
                       .run = Run<IntWeights>,
                       .least_rows = LeastIntRows,
                       .most_rows = kMostRows});
}

}  // namespace keel
#endif

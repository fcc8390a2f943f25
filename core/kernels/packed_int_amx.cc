// Weights of integers by AMX's products of bytes. Codes go into tiles as they lie in a panel, four inputs of an output
// side by side, so that memory is slower than the tiles are with any number of rows that share them. Sums leave the
// tiles after each group, to be scaled; with very many rows that costs more than to make bf16 of the codes once
// (packed_amx.cc).
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_int.h"

#if defined(__x86_64__)
#include "core/kernels/amx_tiles.h"

namespace keel {
namespace packed {
namespace {

using amx::kTileColumns, amx::kTileRows;

constexpr int64_t kLine = kPanel * 4;  // bytes of four inputs of a panel
constexpr int64_t kTileBytes = 64;     // of a row of x, at most
constexpr int64_t kChunkTiles = 2;  // of rows, that a group is multiplied with before the next one
constexpr int64_t kAhead = 16 << 10;  // bytes of weights that are asked for before their use

constexpr __mmask16 kAll = 0xffff;  // of intrinsics with masks, which GCC 12 does not warn about

// How a tile of rows lies: its groups, then their scales, then their offsets. A group is [rows][inputs] of bytes; of
// 16-bit numbers all high bytes come before all low ones. Behind k are zeros.
struct RowLayout {
  int64_t group, planes, groups;

  RowLayout(const PackedFormat& format, int64_t k)
      : group(format.group),
        planes(MaxQuantized(format) > 127 ? 2 : 1),
        groups(IntLayout(format, k).groups) {}

  int64_t TileBytes(int64_t rows) const {
    return rows * ((groups * (planes * group + 8) + 63) / 64 * 64);
  }
  int64_t GroupAt(int64_t g, int64_t rows) const { return g * planes * rows * group; }
  int64_t ScalesAt(int64_t rows) const { return GroupAt(groups, rows); }
  int64_t OffsetsAt(int64_t rows) const { return ScalesAt(rows) + groups * rows * 4; }
};

// To tell the processor of tiles of another height takes longer than to multiply them. So all are as high, and the last
// one may have rows that are nobody's: one for every 16 at most, in whichever number of rows.
int64_t TileHeight(int64_t rows) {
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  return (rows + tiles - 1) / tiles;
}

int64_t RowBytes(const PackedFormat& format, int64_t k) {
  return (RowLayout(format, k).TileBytes(kTileRows + 1) / kTileRows + 63) / 64 * 64;
}

KEEL_TARGET_AVX512 void Widen(const PackedLinear& linear, int64_t row, int64_t k, int64_t count,
                              float* out) {
  WidenPart<16>(linear, row, k, count, out);
}

KEEL_TARGET_AVX512 void Store(const PackedLinear& linear, int64_t row, int64_t column, int64_t end,
                              const float* sums) {
  StoreRow<16>(linear, row, column, end, sums);
}

void Convert(const PackedLinear& linear, int64_t row_begin, int64_t row_end, void* rows) {
  const IntLayout weights(linear.format, linear.k);
  const RowLayout layout(linear.format, linear.k);
  const RowKind kind = layout.planes == 2 ? RowKind::kPlanes : RowKind::kBytes;
  const int max = MaxQuantized(linear.format);
  const int zero = linear.format.weights == WeightType::kInt8 ? kInt8Zero : kInt4Zero;
  const int64_t height = TileHeight(row_end - row_begin);
  alignas(64) float wide[kMaxGroup];
  alignas(64) uint8_t quantized[2 * kPlane] = {};
  uint8_t* tile = static_cast<uint8_t*>(rows);
  for (int64_t first = row_begin; first < row_end; first += height) {
    float* scales = reinterpret_cast<float*>(tile + layout.ScalesAt(height));
    int32_t* offsets = reinterpret_cast<int32_t*>(tile + layout.OffsetsAt(height));
    for (int64_t r = 0; r < std::min(height, row_end - first); ++r) {
      for (int64_t g = 0; g < weights.groups; ++g) {
        const int64_t begin = g * layout.group, steps = weights.StepsOf(g);
        const int64_t count = std::min(linear.k - begin, steps * kStep);
        Widen(linear, first + r, begin, count, wide);
        std::fill(wide + count, wide + steps * kStep, 0.0f);
        const QuantizedGroup group = QuantizeGroupAvx2(wide, steps, kind, max, quantized, 4);
        scales[g * height + r] = group.scale;
        offsets[g * height + r] = -zero * group.sum;
        for (int64_t plane = 0; plane < layout.planes; ++plane) {
          uint8_t* bytes = quantized + plane * kPlane;
          std::memset(bytes + steps * kStep, 0, layout.group - steps * kStep);
          std::memcpy(tile + layout.GroupAt(g, height) + (plane * height + r) * layout.group, bytes,
                      layout.group);
        }
      }
    }
    tile += layout.TileBytes(height);
  }
}

// A group of a panel times a tile of rows.
struct Block {
  int64_t rows = 0;            // that are somebody's
  int64_t columns = 0;         // kPanel or kSplit
  int64_t inputs = 0;          // of the group
  const uint8_t* x = nullptr;  // [planes][height][inputs]
  const uint8_t* w = nullptr;  // [inputs / 4][kPanel][4]
  const uint8_t* scales = nullptr;
  const float* x_scales = nullptr;     // [height]
  const int32_t* x_offsets = nullptr;  // [height]
  float* sums = nullptr;               // [rows][kPanel], added to
  // Memory that is asked for meanwhile: so many lines with each tile of weights.
  const uint8_t* next = nullptr;
  int64_t next_lines = 0;
};

// Of 16 columns each, by rows of 16; the sums with high bytes, then those with low ones.
using Dots = int32_t[2][kPanel / kTileColumns][kTileRows * kTileColumns];

// The tiles of this thread while it lives: 0 to 3 sums, 4 and 5 x, 6 and 7 weights.
class Tiles {
 public:
  KEEL_TARGET_AMX Tiles(int64_t group, int64_t height)
      : bytes_(std::min(group, kTileBytes)), height_(height) {
    amx::TileConfig config;
    for (const int tile : {0, 1, 2, 3, 4, 5}) config.rows[tile] = static_cast<uint8_t>(height);
    for (const int tile : {4, 5}) config.row_bytes[tile] = static_cast<uint16_t>(bytes_);
    for (const int tile : {6, 7}) config.rows[tile] = static_cast<uint8_t>(bytes_ / 4);
    config.Load();
  }
  KEEL_TARGET_AMX ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int64_t kPlanes>
  KEEL_TARGET_AMX void Multiply(const Block& block, Dots& dots) const {
    // The compiler does not know that instructions of tiles read memory.
    asm volatile("" ::: "memory");
    const uint8_t* next = block.next;
    for (int64_t column = 0; column < block.columns; column += 2 * kTileColumns) {
      const int64_t tile = column / kTileColumns;
      kPlanes == 2 ? Words(block, column, &next, dots[0] + tile, dots[1] + tile)
                   : Bytes(block, column, &next, dots[0] + tile);
    }
    asm volatile("" ::: "memory");
  }

 private:
  using Dot = int32_t[kTileRows * kTileColumns];

  KEEL_TARGET_AMX KEEL_INLINE static void AskForNext(const Block& b, const uint8_t** next) {
    for (int64_t i = 0; i < b.next_lines; ++i, *next += 64) __builtin_prefetch(*next, 0, 2);
  }

  // Two tiles of columns.
  KEEL_TARGET_AMX KEEL_INLINE void Bytes(const Block& b, int64_t column, const uint8_t** next,
                                         Dot* dots) const {
    _tile_zero(0);
    _tile_zero(1);
    const uint8_t* w = b.w + column * 4;
    for (int64_t i = 0; i < b.inputs; i += bytes_, w += bytes_ / 4 * kLine) {
      _tile_loadd(4, b.x + i, b.inputs);
      _tile_loadd(6, w, kLine);
      AskForNext(b, next);
      _tile_dpbsud(0, 4, 6);
      _tile_loadd(7, w + 64, kLine);
      AskForNext(b, next);
      _tile_dpbsud(1, 4, 7);
    }
    _tile_stored(0, dots[0], 64);
    _tile_stored(1, dots[1], 64);
  }

  // With both bytes of x.
  KEEL_TARGET_AMX KEEL_INLINE void Words(const Block& b, int64_t column, const uint8_t** next,
                                         Dot* high, Dot* low) const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const uint8_t* w = b.w + column * 4;
    for (int64_t i = 0; i < b.inputs; i += bytes_, w += bytes_ / 4 * kLine) {
      _tile_loadd(4, b.x + i, b.inputs);
      _tile_loadd(5, b.x + height_ * b.inputs + i, b.inputs);
      _tile_loadd(6, w, kLine);
      AskForNext(b, next);
      _tile_dpbsud(0, 4, 6);
      _tile_dpbsud(2, 5, 6);
      _tile_loadd(7, w + 64, kLine);
      AskForNext(b, next);
      _tile_dpbsud(1, 4, 7);
      _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, high[0], 64);
    _tile_stored(1, high[1], 64);
    _tile_stored(2, low[0], 64);
    _tile_stored(3, low[1], 64);
  }

  const int64_t bytes_;  // of a row of x in a tile
  const int64_t height_;
};

// Adds a block's part to the sums.
template <int64_t kPlanes>
KEEL_TARGET_AMX void AddScaled(const Block& b, const Dots& dots) {
  for (int64_t tile = 0; tile < b.columns / kTileColumns; ++tile) {
    const __m512 weight_scales = _mm512_maskz_cvtph_ps(
        kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.scales) + tile));
    const int32_t *first = dots[0][tile], *second = dots[1][tile];
    float* sum = b.sums + tile * kTileColumns;
    for (int64_t row = 0; row < b.rows; ++row, sum += kPanel) {
      __m512i dot = _mm512_load_si512(first + row * kTileColumns);
      if constexpr (kPlanes == 2) {
        dot = _mm512_add_epi32(_mm512_maskz_slli_epi32(kAll, dot, 8),
                               _mm512_load_si512(second + row * kTileColumns));
      }
      dot = _mm512_add_epi32(dot, _mm512_set1_epi32(b.x_offsets[row]));
      const __m512 scaled =
          _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(kAll, dot), _mm512_set1_ps(b.x_scales[row]));
      _mm512_store_ps(sum, _mm512_fmadd_ps(scaled, weight_scales, _mm512_load_ps(sum)));
    }
  }
}

// Steps of kInt4 to what they stand for.
KEEL_TARGET_AMX void Expand(const uint8_t* w, int64_t steps, int64_t columns, uint8_t* out) {
  const __m512i levels = _mm512_maskz_broadcast_i32x4(
      kAll, _mm_load_si128(reinterpret_cast<const __m128i*>(kInt4Levels)));
  const __m512i low = _mm512_set1_epi8(15);
  for (int64_t step = 0; step < steps; ++step, w += kLine, out += 2 * kLine) {
    for (int64_t i = 0; i < columns * 4; i += 64) {
      const __m512i nibbles = _mm512_loadu_si512(w + i);
      _mm512_store_si512(out + i, _mm512_shuffle_epi8(levels, _mm512_and_si512(nibbles, low)));
      _mm512_store_si512(
          out + kLine + i,
          _mm512_shuffle_epi8(levels, _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), low)));
    }
  }
}

// What tiles store is in memory some time later only, and nothing reads it from the way there. So it is scaled when the
// next block has been multiplied.
template <int64_t kPlanes>
class Pipeline {
 public:
  Pipeline(int64_t group, int64_t height) : tiles_(group, height) {}

  void Multiply(const Block& block) {
    last_ = 1 - last_;
    tiles_.Multiply<kPlanes>(block, dots_[last_]);
    if (block_.rows > 0) AddScaled<kPlanes>(block_, dots_[1 - last_]);
    block_ = block;
  }

  void Finish() {
    AddScaled<kPlanes>(block_, dots_[last_]);
    block_.rows = 0;
  }

 private:
  Tiles tiles_;
  Block block_;  // whose products are in dots_[last_]; without rows: none
  int last_ = 0;
  alignas(64) Dots dots_[2];
};

// A group's codes as they lie, or made, likewise before tiles read them: those of two groups are held.
class Codes {
 public:
  explicit Codes(const PackedLinear& linear)
      : layout_(linear.format, linear.k), int4_(linear.format.weights == WeightType::kInt4) {}

  // Of group `g`, of which the codes of these columns begin at `codes`.
  const uint8_t* Get(int64_t g, const uint8_t* codes, int64_t columns) {
    const int64_t steps = layout_.StepsOf(g);
    uint8_t* made = made_[g % 2];
    if (int4_) {
      Expand(codes, steps, columns, made);
    } else if (steps < layout_.group_steps) {
      // What is behind them meets zeros of x, but may be nobody's memory.
      for (int64_t i = 0; i < 2 * steps; ++i) {
        std::memcpy(made + i * kLine, codes + i * kLine, columns * 4);
      }
    } else {
      return codes;
    }
    return made;
  }

 private:
  const IntLayout layout_;
  const bool int4_;
  alignas(64) uint8_t made_[2][kMaxGroup * kPanel];
};

template <int64_t kPlanes>
void RunPlanes(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  const IntLayout layout(linear.format, linear.k);
  const RowLayout row_layout(linear.format, linear.k);
  const int64_t m = part.row_end - part.row_begin, height = TileHeight(m);
  const int64_t chunk = kChunkTiles * height;
  alignas(64) float sums[kChunkTiles * kTileRows * kPanel];
  Codes codes(linear);
  Pipeline<kPlanes> pipeline(linear.format.group, height);
  for (int64_t column = part.column_begin, end; column < part.column_end; column = end) {
    const uint8_t* panel =
        static_cast<const uint8_t*>(linear.weights) + column / kPanel * layout.PanelBytes();
    const int64_t in_panel = column % kPanel;
    end = std::min(column - in_panel + kPanel, part.column_end);
    Block block;
    block.columns = end - column > kSplit ? kPanel : kSplit;
    block.inputs = linear.format.group;
    const int64_t tiles_of_w =
        block.columns / kTileColumns * ((block.inputs + kTileBytes - 1) / kTileBytes);
    const auto codes_of = [&](int64_t g) {
      return codes.Get(g, panel + g * layout.GroupBytes() + kScaleBytes + in_panel * 4,
                       block.columns);
    };
    for (int64_t begin = 0; begin < m; begin += chunk) {
      const int64_t chunk_end = std::min(begin + chunk, m);
      std::fill(sums, sums + (chunk_end - begin) * kPanel, 0.0f);
      const uint8_t* next_codes = codes_of(0);
      for (int64_t g = 0; g < layout.groups; ++g) {
        const uint8_t* group = panel + g * layout.GroupBytes();
        block.w = next_codes;
        if (g + 1 < layout.groups) next_codes = codes_of(g + 1);
        block.scales = group + in_panel * 2;
        block.next = group + kAhead;
        block.next_lines =
            begin == 0 ? (layout.GroupBytes() / 64 + tiles_of_w - 1) / tiles_of_w : 0;
        for (int64_t row = begin; row < chunk_end; row += height) {
          const uint8_t* tile =
              static_cast<const uint8_t*>(rows) + row / height * row_layout.TileBytes(height);
          block.rows = std::min(height, chunk_end - row);
          block.x = tile + row_layout.GroupAt(g, height);
          block.x_scales =
              reinterpret_cast<const float*>(tile + row_layout.ScalesAt(height)) + g * height;
          block.x_offsets =
              reinterpret_cast<const int32_t*>(tile + row_layout.OffsetsAt(height)) + g * height;
          block.sums = sums + (row - begin) * kPanel;
          pipeline.Multiply(block);
          block.next_lines = 0;
        }
      }
      pipeline.Finish();
      for (int64_t row = begin; row < chunk_end; ++row) {
        Store(linear, part.row_begin + row, column, end, sums + (row - begin) * kPanel);
      }
    }
  }
}

// Below, VNNI is faster: it has no sums to fetch from tiles.
int64_t LeastRows(const PackedFormat& format) {
  if (format.weights == WeightType::kInt4) return 5;
  return format.int8_activations ? 24 : 2;
}

void Run(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) {
  MaxQuantized(linear.format) > 127 ? RunPlanes<2>(linear, rows, part)
                                    : RunPlanes<1>(linear, rows, part);
}

}  // namespace
}  // namespace packed

void AppendPackedIntAmx(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants) {
  if (!cpu.amx_int8) return;
  variants->push_back({.name = "amx_int8",
                       .takes = packed::TakesInt,
                       .row_bytes = packed::RowBytes,
                       .convert = packed::Convert,
                       .run = packed::Run,
                       .invariant = true,
                       .least_rows = packed::LeastRows});
}

}  // namespace keel
#endif

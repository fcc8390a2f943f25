// Products of bf16 by AMX: sums[rows, columns] (+)= x[rows, k] * w[k, columns], tile by tile. For kernels' .cc files only.
//
// A tile of x is 16 rows of 32 inputs, one of w 16 pairs of inputs of 16 outputs, the pairs side by side as in a panel of
// bf16 (packed_linear.h). Each output is one sum in fp32 over k, 32 inputs at a time in order, in whatever tile it is:
// its bits depend on its row and its weights alone.
#ifndef KEEL_CORE_KERNELS_AMX_TILES_H_
#define KEEL_CORE_KERNELS_AMX_TILES_H_

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

#define KEEL_TARGET_AMX                                                                       \
  __attribute__((                                                                             \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16," \
             "amx-int8")))

namespace keel::amx {

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileInputs = 32;
inline constexpr int64_t kTileColumns = 16;

// Operands of a call. Rows of x are readable, and finite where w is zero, up to the next multiple of kTileInputs.
struct Block {
  const char* x = nullptr;  // bf16
  int64_t x_stride = 0;     // bytes
  int64_t x_step = 64;      // bytes from one tile to the next
  const char* w = nullptr;  // [inputs / 2][columns][2]
  int64_t w_stride = 0;     // bytes of a pair of inputs of all columns
  int64_t tiles = 0;        // of kTileInputs
  float* sums = nullptr;
  int64_t sum_stride = 0;  // bytes
  bool set = false;        // the sums, not add to them
  // Memory that up to 16 rows ask for meanwhile: so many lines with each tile of inputs.
  const char* next = nullptr;
  int64_t next_lines = 0;
};

// What is in tiles: 0 to 3 sums, then x and w.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};

  KEEL_TARGET_AMX void Load() const {
    // GCC 12 takes the instruction for one that reads 8 bytes.
    asm volatile("" ::"r"(this) : "memory");
    _tile_loadconfig(this);
  }
};

// The tiles of this thread while it lives.
class Tiles {
 public:
  KEEL_TARGET_AMX Tiles() = default;
  KEEL_TARGET_AMX ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  // Up to 32 rows, times 32 columns, or 64 columns where they are 16 rows at most.
  KEEL_TARGET_AMX void Multiply(int64_t rows, int64_t columns, const Block& block) {
    // The compiler does not know that instructions of tiles read memory.
    asm volatile("" ::: "memory");
    if (rows > kTileRows) {
      Configure(kTileRows, rows - kTileRows);
      Square(block);
    } else {
      Configure(rows, rows);
      columns > 2 * kTileColumns ? Wide<4>(block) : Wide<2>(block);
    }
    asm volatile("" ::: "memory");
  }

 private:
  // Tiles 0, 1 and 4 are of the upper rows, 2, 3 and 5 of the lower ones.
  KEEL_TARGET_AMX void Configure(int64_t upper, int64_t lower) {
    if (upper == upper_ && lower == lower_) return;
    upper_ = upper, lower_ = lower;
    TileConfig config;
    for (const int tile : {0, 1, 4}) config.rows[tile] = static_cast<uint8_t>(upper);
    for (const int tile : {2, 3, 5}) config.rows[tile] = static_cast<uint8_t>(lower);
    config.Load();
  }

  // Sums into tiles 0 and 1, side by side, and 2 and 3, which lie `rest` bytes behind them; 0: those are not used.
  KEEL_TARGET_AMX static void LoadSums(const Block& b, int64_t rest) {
    const char* sums = reinterpret_cast<const char*>(b.sums);
    if (b.set) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      return;
    }
    _tile_loadd(0, sums, b.sum_stride);
    _tile_loadd(1, sums + 64, b.sum_stride);
    if (rest == 0) return;
    _tile_loadd(2, sums + rest, b.sum_stride);
    _tile_loadd(3, sums + rest + 64, b.sum_stride);
  }

  KEEL_TARGET_AMX static void StoreSums(const Block& b, int64_t rest) {
    char* sums = reinterpret_cast<char*>(b.sums);
    _tile_stored(0, sums, b.sum_stride);
    _tile_stored(1, sums + 64, b.sum_stride);
    if (rest == 0) return;
    _tile_stored(2, sums + rest, b.sum_stride);
    _tile_stored(3, sums + rest + 64, b.sum_stride);
  }

  KEEL_TARGET_AMX static void AskForNext(const Block& b, int64_t tile) {
    const char* next = b.next + tile * b.next_lines * 64;
    for (int64_t i = 0; i < b.next_lines; ++i) __builtin_prefetch(next + i * 64, 0, 2);
  }

  // Two tiles of rows by two of columns: each that is loaded serves twice.
  KEEL_TARGET_AMX static void Square(const Block& b) {
    LoadSums(b, kTileRows * b.sum_stride);
    const char *x = b.x, *w = b.w;
    for (int64_t i = 0; i < b.tiles; ++i, x += b.x_step, w += 16 * b.w_stride) {
      _tile_loadd(4, x, b.x_stride);
      _tile_loadd(6, w, b.w_stride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, w + 64, b.w_stride);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, x + kTileRows * b.x_stride, b.x_stride);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    StoreSums(b, kTileRows * b.sum_stride);
  }

  // A tile of rows by kWide of columns.
  template <int kWide>
  KEEL_TARGET_AMX static void Wide(const Block& b) {
    constexpr int64_t kRest = kWide == 4 ? 128 : 0;
    LoadSums(b, kRest);
    const char *x = b.x, *w = b.w;
    for (int64_t i = 0; i < b.tiles; ++i, x += b.x_step, w += 16 * b.w_stride) {
      AskForNext(b, i);
      _tile_loadd(4, x, b.x_stride);
      _tile_loadd(6, w, b.w_stride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, w + 64, b.w_stride);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (kWide == 4) {
        _tile_loadd(6, w + 128, b.w_stride);
        _tile_dpbf16ps(2, 4, 6);
        _tile_loadd(7, w + 192, b.w_stride);
        _tile_dpbf16ps(3, 4, 7);
      }
    }
    StoreSums(b, kRest);
  }

  int64_t upper_ = 0, lower_ = 0;
};

}  // namespace keel::amx
#endif
#endif  // KEEL_CORE_KERNELS_AMX_TILES_H_

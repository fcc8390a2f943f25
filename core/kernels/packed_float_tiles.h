// Products of packed weights of floating point by tiles of y that stay in registers, written once for all instruction
// sets. For packed_float.cc only, as lanes.h.
//
// A panel goes by blocks of inputs, so that it comes from memory once, whatever the number of rows. While the tiles
// of a block compute, each asks for its share of the next one: memory is busy all the time, and blocks are found in
// L2. 16-bit weights are widened as they are read, by every tile anew: that costs less than to store them wide in
// between (measured on Zen 4, 64 and 256 rows).
//
// Each output is one sum in fp32, over k in order, whatever tile or block it is computed in: kernels are invariant.
#ifndef KEEL_CORE_KERNELS_PACKED_FLOAT_TILES_H_
#define KEEL_CORE_KERNELS_PACKED_FLOAT_TILES_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/kernels/lanes.h"
#include "core/kernels/packed_epilogue.h"
#include "core/kernels/packed_linear.h"
#include "core/kernels/packed_linear_variants.h"

namespace keel::packed {

// Bytes of a block: few rows come faster through the L1 cache, many reuse their sums for longer.
constexpr int64_t BlockBytes(int64_t rows) { return (rows <= 16 ? 16 : 64) << 10; }

constexpr int64_t kStreamAhead = 4 << 10;  // bytes that one row asks for before their use

// Instruction sets. Call makes a function of a body, whose Run is written for none.
struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kAccumulators = 12;  // of 16 registers
  template <typename Body, typename... Args>
  KEEL_TARGET_AVX2 static void Call(const Args&... args) {
    Body::Run(args...);
  }
};
struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kAccumulators = 24;  // of 32
  template <typename Body, typename... Args>
  KEEL_TARGET_AVX512 static void Call(const Args&... args) {
    Body::Run(args...);
  }
};
constexpr int kTallest = 6;  // rows of a tile

// How weights are multiplied. A line holds an input, or a pair, of all columns of a panel; a step multiplies it, or
// half of it, by one X of a row. The instructions are named, as GCC knows no registers of this width where it first
// sees the code, and as some of those that it would choose overwrite a factor: sums would wander through registers
// and memory.
template <typename Isa>
struct F32Lines {
  using X = float;
  using F32 = typename lanes::Vector<Isa::kLanes>::F32;
  static constexpr int kInputs = 1, kSteps = 1, kColumnBytes = 4;

  static KEEL_INLINE void Load(const char* p, int, F32* out) { std::memcpy(out, p, sizeof(*out)); }
  static KEEL_INLINE void Broadcast(const X* x, F32* out) {
    asm("vbroadcastss %1, %0" : "=v"(*out) : "m"(*x));
  }
  static KEEL_INLINE void MultiplyAdd(const F32* w, const F32* x, F32* sum) {
    asm("vfmadd231ps %1, %2, %0" : "+v"(*sum) : "v"(*w), "v"(*x));
  }
};

template <typename Isa>
struct F16Lines : F32Lines<Isa> {
  static constexpr int kColumnBytes = 2;
  static KEEL_INLINE void Load(const char* p, int, typename F32Lines<Isa>::F32* out) {
    lanes::Convert<Isa::kLanes>::WidenF16(reinterpret_cast<const _Float16*>(p), out);
  }
};

// A pair of bf16 is the upper halves of two fp32.
template <typename Isa>
struct BF16Lines : F32Lines<Isa> {
  static constexpr int kInputs = 2, kSteps = 2;
  static KEEL_INLINE void Load(const char* p, int step, typename F32Lines<Isa>::F32* out) {
    typename lanes::Vector<Isa::kLanes>::U32 pairs;
    std::memcpy(&pairs, p, sizeof(pairs));
    if (step == 0) {
      pairs <<= 16;
    } else {
      pairs &= 0xffff0000u;
    }
    std::memcpy(out, &pairs, sizeof(pairs));
  }
};

// Pairs of weights by pairs of x, both bf16, in one instruction of AVX-512 BF16.
template <typename Isa>
struct BF16Dots : F32Lines<Isa> {
  using X = uint32_t;
  using F32 = typename F32Lines<Isa>::F32;  // of pairs, too
  static constexpr int kInputs = 2;
  static KEEL_INLINE void Broadcast(const X* x, F32* out) {
    asm("vpbroadcastd %1, %0" : "=v"(*out) : "m"(*x));
  }
  static KEEL_INLINE void MultiplyAdd(const F32* w, const F32* x, F32* sum) {
    asm("vdpbf16ps %1, %2, %0" : "+v"(*sum) : "v"(*w), "v"(*x));
  }
};

// Lines of a block from some column on, kPanel columns apart.
struct Lines {
  const char* w = nullptr;
  int64_t count = 0;
};

// Rows of x from the block's first input, `ldx` apart, and their sums, kPanel apart.
template <typename X>
struct Rows {
  const X* x = nullptr;
  int64_t ldx = 0, count = 0;
  float* sums = nullptr;
};

// What to ask for while computing: kLines cache lines a line of weights from `next` on, none from `end` on.
struct Ahead {
  const char* next = nullptr;
  const char* end = nullptr;
};

// kRows rows times kVectors registers of columns. Sets the sums or adds to them.
template <typename Isa, typename W, int kRows, int kVectors, int kAhead>
struct Tile {
  using X = typename W::X;
  using F32 = typename W::F32;
  static constexpr int kVectorBytes = Isa::kLanes * W::kColumnBytes;

  static KEEL_INLINE void Run(const Lines& lines, const X* x, int64_t ldx, float* sums, bool set,
                              const Ahead& ahead) {
    constexpr int64_t kLineBytes = kPanel * W::kColumnBytes;
    F32 acc[kRows][kVectors];
    KEEL_UNROLL for (int i = 0; i < kRows; ++i) {
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        acc[i][v] = F32{};
        if (!set) std::memcpy(&acc[i][v], sums + i * kPanel + v * Isa::kLanes, sizeof(F32));
      }
    }
    const char* w = lines.w;
    [[maybe_unused]] const char* next = ahead.next;
    const char* const end = w + lines.count * kLineBytes;
    for (; w != end; w += kLineBytes) {
      if constexpr (kAhead > 0) {
        KEEL_UNROLL for (int i = 0; i < kAhead; ++i) __builtin_prefetch(next + 64 * i, 0, 2);  // L2
        next += next < ahead.end ? 64 * kAhead : 0;
      }
      KEEL_UNROLL for (int step = 0; step < W::kSteps; ++step, ++x) Multiply(w, x, ldx, step, acc);
    }
    KEEL_UNROLL for (int i = 0; i < kRows; ++i) {
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        std::memcpy(sums + i * kPanel + v * Isa::kLanes, &acc[i][v], sizeof(F32));
      }
    }
  }

  // What is fewer, rows or columns, stays in registers while the others pass.
  static KEEL_INLINE void Multiply(const char* w, const X* x, int64_t ldx, int step,
                                   F32 (&acc)[kRows][kVectors]) {
    if constexpr (kRows < kVectors) {
      F32 factors[kRows];
      KEEL_UNROLL for (int i = 0; i < kRows; ++i) W::Broadcast(x + i * ldx, &factors[i]);
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        F32 weight;
        W::Load(w + v * kVectorBytes, step, &weight);
        KEEL_UNROLL for (int i = 0; i < kRows; ++i) {
          W::MultiplyAdd(&weight, &factors[i], &acc[i][v]);
        }
      }
    } else {
      F32 weights[kVectors];
      KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
        W::Load(w + v * kVectorBytes, step, &weights[v]);
      }
      KEEL_UNROLL for (int i = 0; i < kRows; ++i) {
        F32 factor;
        W::Broadcast(x + i * ldx, &factor);
        KEEL_UNROLL for (int v = 0; v < kVectors; ++v) {
          W::MultiplyAdd(&weights[v], &factor, &acc[i][v]);
        }
      }
    }
  }
};

// Tiles that rows take, of even height.
template <typename Isa, int kVectors>
int64_t TileCount(int64_t rows) {
  constexpr int64_t kHeight = std::min(kTallest, Isa::kAccumulators / kVectors);
  return (rows + kHeight - 1) / kHeight;
}

// All rows times kVectors registers of columns. Each tile asks for `ahead_bytes`,
// from `next` on.
template <typename Isa, typename W, int kVectors, int kAhead>
void MultiplyStrip(const Lines& lines, const Rows<typename W::X>& rows, bool set, const char* next,
                   int64_t ahead_bytes) {
  constexpr int64_t kHeight = std::min(kTallest, Isa::kAccumulators / kVectors);
  const int64_t tiles = TileCount<Isa, kVectors>(rows.count);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = rows.count * tile / tiles, end = rows.count * (tile + 1) / tiles;
    const auto run = [&]<int kRows>(std::integral_constant<int, kRows>) {
      if constexpr (kRows <= kHeight) {
        Isa::template Call<Tile<Isa, W, kRows, kVectors, kAhead>>(
            lines, rows.x + begin * rows.ldx, rows.ldx, rows.sums + begin * kPanel, set,
            Ahead{next + tile * ahead_bytes, next + (tile + 1) * ahead_bytes});
      }
    };
    switch (end - begin) {
      case 1:
        run(std::integral_constant<int, 1>());
        break;
      case 2:
        run(std::integral_constant<int, 2>());
        break;
      case 3:
        run(std::integral_constant<int, 3>());
        break;
      case 4:
        run(std::integral_constant<int, 4>());
        break;
      case 5:
        run(std::integral_constant<int, 5>());
        break;
      default:
        run(std::integral_constant<int, kTallest>());
        break;
    }
  }
}

// Sums of columns [0, columns) of a panel, kSplit or kPanel, from `w` on. `last`: nothing follows that is wanted soon.
template <typename Isa, typename W, int kVectors>
void MultiplyPanel(const char* w, int64_t k, int64_t columns, const Rows<typename W::X>& rows,
                   bool last) {
  constexpr int64_t kColumns = int64_t{kVectors} * Isa::kLanes;
  constexpr int64_t kLineBytes = kPanel * W::kColumnBytes;
  const int64_t lines = (k + W::kInputs - 1) / W::kInputs;
  const int64_t tiles = TileCount<Isa, kVectors>(rows.count), strips = columns / kColumns;
  if (tiles == 1 && strips == 1) {
    // One stream from end to end. Lines of AVX2 take one row so many instructions that the processor does not look far
    // enough ahead itself.
    if constexpr (Isa::kLanes == 8 && kVectors == 8) {
      return MultiplyStrip<Isa, W, kVectors, kLineBytes / 64>({w, lines}, rows, true,
                                                              w + kStreamAhead, lines * kLineBytes);
    }
    return MultiplyStrip<Isa, W, kVectors, 0>({w, lines}, rows, true, nullptr, 0);
  }
  const int64_t block_bytes = BlockBytes(rows.count);
  const int64_t blocks = (lines * kLineBytes + block_bytes - 1) / block_bytes;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = lines * block / blocks, end = lines * (block + 1) / blocks;
    const int64_t bytes = (end - begin) * kLineBytes;
    const bool ask = !last || block + 1 < blocks;
    const int64_t ahead_bytes = ask ? (bytes / (tiles * strips) + 63) / 64 * 64 : 0;
    const char* next = w + begin * kLineBytes + bytes;
    for (int64_t column = 0; column < columns; column += kColumns, next += tiles * ahead_bytes) {
      const Lines strip = {w + begin * kLineBytes + column * W::kColumnBytes, end - begin};
      Rows<typename W::X> to = rows;
      to.x += begin * W::kSteps;
      to.sums += column;
      if (!ask) {
        MultiplyStrip<Isa, W, kVectors, 0>(strip, to, block == 0, next, 0);
      } else if (ahead_bytes <= (end - begin) * 64) {
        MultiplyStrip<Isa, W, kVectors, 1>(strip, to, block == 0, next, ahead_bytes);
      } else {
        MultiplyStrip<Isa, W, kVectors, 2>(strip, to, block == 0, next, ahead_bytes);
      }
    }
  }
}

template <typename Isa>
struct StoreRows {
  static KEEL_INLINE void Run(const PackedLinear& linear, int64_t row_begin, int64_t row_end,
                              int64_t column_begin, int64_t column_end, const float* sums) {
    for (int64_t row = row_begin; row < row_end; ++row, sums += kPanel) {
      StoreRow<Isa::kLanes>(linear, row, column_begin, column_end, sums);
    }
  }
};

// A variant's `run`, with rows of x `ldx` apart. Few rows leave registers for many columns: longer runs of a line.
template <typename Isa, typename W>
void RunPart(const PackedLinear& linear, const typename W::X* x, int64_t ldx,
             const PackedLinearPart& part) {
  alignas(64) float sums[kMaxPartRows * kPanel];
  const Rows<typename W::X> rows = {x, ldx, part.row_end - part.row_begin, sums};
  const int64_t panel_bytes = PanelBytes(linear.format, linear.k);
  for (int64_t column = part.column_begin, next = 0; column < part.column_end; column = next) {
    next = std::min((column / kPanel + 1) * kPanel, part.column_end);
    // Whole halves of a panel: what lies past n is zero.
    const int64_t columns = (next - column + kSplit - 1) / kSplit * kSplit;
    const char* w = static_cast<const char*>(linear.weights) + column / kPanel * panel_bytes +
                    column % kPanel * W::kColumnBytes;
    const bool last = next == part.column_end;
    const int64_t most = Isa::kLanes == 16 || rows.count == 1 ? columns / Isa::kLanes
                         : rows.count <= 3                    ? 4
                                                              : 2;
    if (most == 8) {
      if constexpr (Isa::kLanes == 8) MultiplyPanel<Isa, W, 8>(w, linear.k, columns, rows, last);
    } else if (most == 4) {
      MultiplyPanel<Isa, W, 4>(w, linear.k, columns, rows, last);
    } else {
      MultiplyPanel<Isa, W, 2>(w, linear.k, columns, rows, last);
    }
    Isa::template Call<StoreRows<Isa>>(linear, part.row_begin, part.row_end, column, next,
                                       static_cast<const float*>(sums));
  }
}

}  // namespace keel::packed

#endif  // KEEL_CORE_KERNELS_PACKED_FLOAT_TILES_H_

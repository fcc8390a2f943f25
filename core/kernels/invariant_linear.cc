// The mathematics is written once over GCC's vector types of a CPU's own width; a variant is that
// code compiled for one instruction set by a target attribute.
#include "core/kernels/invariant_linear.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/kernels/lane_variants.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

constexpr int64_t kMaxLanes = 16;
// A part's weights, kPartColumns rows of them, wait in L2 for the part's rows of x.
constexpr int64_t kPartRows = 48, kPartColumns = 48;
constexpr int64_t kFewColumns = 12;  // where threads would have no part; whole tiles still
// From memory rows of weights are read whole; out of L2 by pieces, so that x's stay in L1.
constexpr int64_t kFewRows = 4;
constexpr int64_t kPiece = 1024;
constexpr int64_t kProductsAPart = 64 << 10;  // less is not worth waking a thread for

// One register, by pointer: none crosses a call.
template <int kLanes>
KEEL_INLINE void Load(const float* p, typename lanes::Vector<kLanes>::F32* out) {
  std::memcpy(out, p, sizeof(*out));
}
template <int kLanes>  // bf16
KEEL_INLINE void Load(const uint16_t* p, typename lanes::Vector<kLanes>::F32* out) {
  lanes::Convert<kLanes>::WidenBF16(p, out);
}
template <int kLanes>
KEEL_INLINE void Load(const _Float16* p, typename lanes::Vector<kLanes>::F32* out) {
  lanes::Convert<kLanes>::WidenF16(p, out);
}

// The last `count` < kLanes elements of a row, and zeros.
template <int kLanes, typename S>
KEEL_INLINE void LoadTail(const S* p, int64_t count, typename lanes::Vector<kLanes>::F32* out) {
  S padded[kLanes] = {};
  std::memcpy(padded, p, count * sizeof(S));
  Load<kLanes>(padded, out);
}

template <int kLanes, typename T>
struct Tiles {
  using S = typename T::Storage;
  using Floats = typename lanes::Vector<kLanes>::F32;
  // Accumulators, a vector for each weight row and one of x: 16 registers, or 32.
  static constexpr int kRows = kLanes == 16 ? 6 : 4;
  static constexpr int kColumns = kLanes == 16 ? 4 : 3;

  const InvariantLinear& linear;
  const float* wide_x;
  const InvariantLinearPart& part;
  Floats sums[kPartRows * kPartColumns];  // of the pieces of k so far; unset before the first

  Tiles(const InvariantLinear& l, const float* x, const InvariantLinearPart& p)
      : linear(l), wide_x(x), part(p) {}

  KEEL_INLINE const S* W(int64_t n) const {
    return static_cast<const S*>(linear.w) + n * linear.ldw;
  }
  KEEL_INLINE Floats* SumsAt(int64_t m, int64_t n) {
    return sums + (m - part.row_begin) * kPartColumns + n - part.column_begin;
  }

  KEEL_INLINE void Store(int64_t m, int64_t n, const Floats* acc) const {
    float sum = lanes::SumOfRegister<kLanes>(*acc);
    if (linear.bias != nullptr) sum += T::Load(static_cast<const S*>(linear.bias) + n);
    static_cast<S*>(linear.y)[m * linear.ldy + n] = T::Store(sum);
  }

  template <int kM, int kN>
  static KEEL_INLINE void AddProducts(const float* x, int64_t stride, const Floats (&rows)[kN],
                                      Floats (&acc)[kM][kN]) {
#pragma GCC unroll 8
    for (int i = 0; i < kM; ++i) {
      Floats v;
      Load<kLanes>(x + i * stride, &v);
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) acc[i][j] += rows[j] * v;
    }
  }

  // x's rows from m, weight rows from n, the products of [begin, end) of k. GCC keeps accumulators in
  // registers only once the loops over them are gone.
  template <int kM, int kN>
  KEEL_INLINE void Run(int64_t m, int64_t n, int64_t begin, int64_t end) {
    const int64_t stride = InvariantLinearStride(linear.k), ldw = linear.ldw;
    const float* x = wide_x + m * stride;
    const S* w = W(n);
    Floats acc[kM][kN];
#pragma GCC unroll 8
    for (int i = 0; i < kM; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) acc[i][j] = begin == 0 ? Floats{} : SumsAt(m + i, n + j)[0];
    }
    int64_t k = begin;
    for (; k + kLanes <= end; k += kLanes) {
      Floats rows[kN];
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) {
        Load<kLanes>(w + j * ldw + k, &rows[j]);
        // Rows are too short for the hardware to see the stream before they end.
        if constexpr (kM < kRows) __builtin_prefetch(w + (j + kN) * ldw + k, 0, 2);
      }
      AddProducts<kM, kN>(x + k, stride, rows, acc);
    }
    if (k < end) {
      Floats rows[kN];
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) LoadTail<kLanes>(w + j * ldw + k, end - k, &rows[j]);
      AddProducts<kM, kN>(x + k, stride, rows, acc);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kM; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) {
        if (end == linear.k) {
          Store(m + i, n + j, &acc[i][j]);
        } else {
          *SumsAt(m + i, n + j) = acc[i][j];
        }
      }
    }
  }

  template <int kM>
  KEEL_INLINE void RunColumns(int64_t m, int64_t begin, int64_t end) {
    int64_t n = part.column_begin;
    for (; n + kColumns <= part.column_end; n += kColumns) Run<kM, kColumns>(m, n, begin, end);
    for (; n < part.column_end; ++n) Run<kM, 1>(m, n, begin, end);
  }

  KEEL_INLINE void RunPart() {
    const bool few = part.row_end - part.row_begin <= kFewRows;
    const int64_t piece = few ? linear.k : kPiece;
    int64_t begin = 0;
    do {  // once for k = 0 too: the bias alone
      const int64_t end = std::min(begin + piece, linear.k);
      int64_t m = part.row_begin;
      for (; m + kRows <= part.row_end; m += kRows) RunColumns<kRows>(m, begin, end);
      for (; m + 2 <= part.row_end; m += 2) RunColumns<2>(m, begin, end);
      if (m < part.row_end) RunColumns<1>(m, begin, end);
      begin = end;
    } while (begin < linear.k);
  }
};

template <int kLanes, typename T>
struct Part {
  static KEEL_INLINE void Run(const InvariantLinear& linear, const float* wide_x,
                              const InvariantLinearPart& part) {
    const InvariantLinearPart& p = part;
    for (int64_t n = p.column_begin; n < p.column_end; n += kPartColumns) {
      for (int64_t m = p.row_begin; m < p.row_end; m += kPartRows) {
        const InvariantLinearPart piece = {m, std::min(m + kPartRows, p.row_end), n,
                                           std::min(n + kPartColumns, p.column_end)};
        Tiles<kLanes, T>(linear, wide_x, piece).RunPart();
      }
    }
  }
};

template <typename T>
void WidenRowsOf(const InvariantLinear& linear, int64_t begin, int64_t end, float* wide_x) {
  const int64_t stride = InvariantLinearStride(linear.k);
  for (int64_t m = begin; m < end; ++m) {
    const auto* x = static_cast<const typename T::Storage*>(linear.x) + m * linear.ldx;
    float* out = wide_x + m * stride;
    for (int64_t k = 0; k < linear.k; ++k) out[k] = T::Load(x + k);
    std::fill(out + linear.k, out + stride, 0.0f);
  }
}

}  // namespace

int64_t InvariantLinearStride(int64_t k) { return (k + kMaxLanes - 1) / kMaxLanes * kMaxLanes; }

void WidenRows(const InvariantLinear& linear, int64_t begin, int64_t end, float* wide_x) {
  switch (linear.type) {
    case KernelType::kF32:
      return WidenRowsOf<lanes::F32>(linear, begin, end, wide_x);
    case KernelType::kBF16:
      return WidenRowsOf<lanes::BF16>(linear, begin, end, wide_x);
    case KernelType::kF16:
      return WidenRowsOf<lanes::F16>(linear, begin, end, wide_x);
  }
}

std::vector<InvariantLinearVariant> InvariantLinearVariants(const CpuFeatures& cpu) {
  return LaneVariants<InvariantLinearVariant, Part>(cpu);
}

void RunInvariantLinear(const InvariantLinear& linear) {
  static const InvariantLinearVariant variant = InvariantLinearVariants(Cpu()).back();
  const int64_t stride = std::max<int64_t>(1, InvariantLinearStride(linear.k));
  const auto wide_x = std::make_unique_for_overwrite<float[]>(linear.m * stride);
  ParallelFor(linear.m, std::max<int64_t>(1, kProductsAPart / stride),
              [&](int64_t begin, int64_t end) { WidenRows(linear, begin, end, wide_x.get()); });
  // Neighbours share columns, whose weights then stay in the cache.
  const int64_t row_parts = (linear.m + kPartRows - 1) / kPartRows;
  const int64_t wanted = 4 * ParallelThreads();
  const int64_t columns = linear.n / kPartColumns * row_parts < wanted ? kFewColumns : kPartColumns;
  const int64_t parts = (linear.n + columns - 1) / columns * row_parts;
  const int64_t products = std::min(linear.m, kPartRows) * columns * stride;
  ParallelFor(parts, std::max<int64_t>(1, kProductsAPart / std::max<int64_t>(1, products)),
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t m = i % row_parts * kPartRows, n = i / row_parts * columns;
                  variant.run(
                      linear, wide_x.get(),
                      {m, std::min(m + kPartRows, linear.m), n, std::min(n + columns, linear.n)});
                }
              });
}

}  // namespace keel

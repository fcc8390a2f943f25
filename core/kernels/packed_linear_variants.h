// The ways to compute packed linears. Each format has a plain variant that the others are tested against.
//
// A variant is two functions: `convert` turns rows of x into what `run` multiplies with (wider, narrower or
// quantized), once for all linears of a call; `run` computes a part of y from them. Both run on one thread.
#ifndef KEEL_CORE_KERNELS_PACKED_LINEAR_VARIANTS_H_
#define KEEL_CORE_KERNELS_PACKED_LINEAR_VARIANTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/cpu.h"
#include "core/kernels/packed_linear.h"

namespace keel {

// Threads share panels by halves, so that a few panels can be divided evenly.
inline constexpr int64_t kSplit = 32;  // outputs
// Most variants' `run` is given no more rows at once.
inline constexpr int64_t kMaxPartRows = 128;

// Rows [row_begin, row_end) and columns [column_begin, column_end) of y; columns begin at a multiple of kSplit and
// end at one or at n.
struct PackedLinearPart {
  int64_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
};

struct PackedLinearVariant {
  std::string name = {};
  bool (*takes)(const PackedFormat& format, KernelType type) = nullptr;
  // Bytes from one converted row to the next: a multiple of 64.
  int64_t (*row_bytes)(const PackedFormat& format, int64_t k) = nullptr;
  // Converts rows [row_begin, row_end) of linear.x into `rows`, 64-byte aligned, of which the first is row_begin's.
  void (*convert)(const PackedLinear& linear, int64_t row_begin, int64_t row_end,
                  void* rows) = nullptr;
  // Writes the part of linear.y. `rows` are those that `convert` made for the part's.
  void (*run)(const PackedLinear& linear, const void* rows, const PackedLinearPart& part) = nullptr;
  // An output's bits depend on its row of x and its weights alone: not on the part, so not on m or threads.
  bool invariant = false;
  // Rows that `run` is worth calling with; null: any.
  int64_t (*least_rows)(const PackedFormat& format) = nullptr;
  int64_t most_rows = kMaxPartRows;  // that it takes at once
};

// y, or the y of several linears side by side, as a grid of parts, one a thread. Rows are divided only where columns
// are too few to keep all threads equally busy: weights are then read more than once. `pieces` are of kSplit columns.
struct PackedLinearGrid {
  int64_t rows = 1, columns = 1;
};
PackedLinearGrid DividePackedLinears(int64_t m, int64_t pieces, int64_t threads);

// Those that `cpu` can run, slowest first; the last one that takes a linear is the best for it.
std::vector<PackedLinearVariant> PackedLinearVariants(const CpuFeatures& cpu);

// The last of `variants` that takes the linear and is worth calling with so many rows; where none is, the last that
// takes it.
const PackedLinearVariant& BestPackedVariant(const PackedLinear& linear, int64_t rows,
                                             absl::Span<const PackedLinearVariant> variants);

// As RunPackedLinears, with the best of `variants` for each.
void RunPackedLinears(absl::Span<const PackedLinear> linears,
                      absl::Span<const PackedLinearVariant> variants);

// Bytes of a row of `bytes`, and padding: rows that are a multiple of 4096 bytes apart share few lines of the L1
// cache.
inline int64_t PaddedRowBytes(int64_t bytes) {
  const int64_t lines = (bytes + 63) / 64;
  return (lines + (lines % 2 == 0 ? 1 : 0)) * 64;
}

// Families of variants, a file each: they append what `cpu` can run.
void AppendPackedFloatPlain(std::vector<PackedLinearVariant>* variants);
void AppendPackedIntPlain(std::vector<PackedLinearVariant>* variants);
#if defined(__x86_64__)
void AppendPackedFloat(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants);
void AppendPackedAmx(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants);
void AppendPackedIntAmx(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants);
void AppendPackedIntAvx2(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants);
void AppendPackedIntAvx512(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants);
void AppendPackedIntVnni(const CpuFeatures& cpu, std::vector<PackedLinearVariant>* variants);
#endif

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PACKED_LINEAR_VARIANTS_H_

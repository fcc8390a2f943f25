// Which variant runs, and which thread computes what.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "absl/base/internal/raw_logging.h"
#include "core/kernels/packed_linear.h"
#include "core/kernels/packed_linear_variants.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

constexpr int64_t kBytesAThread = 32 << 10;  // of weights; less is not worth waking a thread for
// So many rows cost little more than one: reading weights takes the time.
constexpr int64_t kFewRows = 8;
// What one more division of rows costs, as a part of all: weights are read once more.
constexpr int64_t kReadingIsOneOf = 32;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Memory of this thread for converted rows of x.
void* RowScratch(int64_t bytes) {
  struct Free {
    void operator()(char* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  static thread_local std::unique_ptr<char, Free> memory;
  static thread_local int64_t size = 0;
  if (bytes > size) {
    memory.reset();
    memory.reset(static_cast<char*>(::operator new (bytes, std::align_val_t{64})));
    size = bytes;
  }
  return memory.get();
}

// The linears of a call, their outputs seen as one row of pieces of kSplit.
class Call {
 public:
  Call(absl::Span<const PackedLinear> linears, absl::Span<const PackedLinearVariant> variants)
      : linears_(linears), variants_(variants) {
    for (const PackedLinear& linear : linears) {
      pieces_ += CeilDiv(linear.n, kSplit);
      bytes_ += Panels(linear.n) * PanelBytes(linear.format, linear.k);
    }
  }

  void Run() const {
    const int64_t m = linears_[0].m;
    if (m == 0 || pieces_ == 0) return;
    const int64_t work = bytes_ * CeilDiv(m, kFewRows);
    const int64_t threads =
        std::clamp<int64_t>(work / kBytesAThread, 1, std::max(1, ParallelThreads()));
    const PackedLinearGrid grid = DividePackedLinears(m, pieces_, threads);
    ParallelFor(grid.rows * grid.columns, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % grid.rows, column = i / grid.rows;
        RunPieces(m * row / grid.rows, m * (row + 1) / grid.rows, pieces_ * column / grid.columns,
                  pieces_ * (column + 1) / grid.columns);
      }
    });
  }

 private:
  void RunPieces(int64_t row_begin, int64_t row_end, int64_t piece_begin, int64_t piece_end) const {
    const int64_t rows = row_end - row_begin;
    int64_t most = rows;
    for (const PackedLinear& linear : linears_) {
      most = std::min(most, BestPackedVariant(linear, rows, variants_).most_rows);
    }
    const int64_t blocks = CeilDiv(rows, most);
    for (int64_t block = 0; block < blocks; ++block) {
      RunBlock(row_begin + rows * block / blocks, row_begin + rows * (block + 1) / blocks,
               piece_begin, piece_end);
    }
  }

  void RunBlock(int64_t row_begin, int64_t row_end, int64_t piece_begin, int64_t piece_end) const {
    const PackedLinear* converted = nullptr;  // the linear that x was converted for last
    const PackedLinearVariant* variant = nullptr;
    void* rows = nullptr;
    int64_t first = 0;  // piece of the linear
    for (const PackedLinear& linear : linears_) {
      const int64_t pieces = CeilDiv(linear.n, kSplit);
      const int64_t begin = std::max(piece_begin - first, int64_t{0});
      const int64_t end = std::min(piece_end - first, pieces);
      first += pieces;
      if (begin >= end) continue;
      if (converted == nullptr || !(converted->format == linear.format)) {
        variant = &BestPackedVariant(linear, row_end - row_begin, variants_);
        rows = RowScratch((row_end - row_begin) * variant->row_bytes(linear.format, linear.k));
        variant->convert(linear, row_begin, row_end, rows);
        converted = &linear;
      }
      variant->run(linear, rows,
                   {row_begin, row_end, begin * kSplit, std::min(end * kSplit, linear.n)});
    }
  }

  const absl::Span<const PackedLinear> linears_;
  const absl::Span<const PackedLinearVariant> variants_;
  int64_t pieces_ = 0, bytes_ = 0;
};

}  // namespace

PackedLinearGrid DividePackedLinears(int64_t m, int64_t pieces, int64_t threads) {
  PackedLinearGrid best;
  int64_t best_cost = 0;
  for (int64_t rows = 1; rows <= std::min(threads, m); ++rows) {
    const int64_t columns = std::min(threads / rows, pieces);
    const int64_t cost = CeilDiv(pieces, columns) * std::max(CeilDiv(m, rows), kFewRows) *
                         (kReadingIsOneOf + rows - 1);
    if (best_cost == 0 || cost < best_cost) best = {rows, columns}, best_cost = cost;
  }
  return best;
}

const PackedLinearVariant& BestPackedVariant(const PackedLinear& linear, int64_t rows,
                                             absl::Span<const PackedLinearVariant> variants) {
  const PackedLinearVariant* takes = nullptr;
  for (auto variant = variants.rbegin(); variant != variants.rend(); ++variant) {
    if (!variant->takes(linear.format, linear.type)) continue;
    if (variant->least_rows == nullptr || variant->least_rows(linear.format) <= rows)
      return *variant;
    if (takes == nullptr) takes = &*variant;
  }
  if (takes == nullptr) ABSL_RAW_LOG(FATAL, "no kernel for this format");
  return *takes;
}

std::vector<PackedLinearVariant> PackedLinearVariants(const CpuFeatures& cpu) {
  std::vector<PackedLinearVariant> variants;
  AppendPackedFloatPlain(&variants);
  AppendPackedIntPlain(&variants);
#if defined(__x86_64__)
  AppendPackedFloat(cpu, &variants);
  AppendPackedIntAvx2(cpu, &variants);
  AppendPackedIntAvx512(cpu, &variants);
  AppendPackedIntVnni(cpu, &variants);
  AppendPackedIntAmx(cpu, &variants);
  AppendPackedAmx(cpu, &variants);
#else
  (void)cpu;
#endif
  return variants;
}

void RunPackedLinears(absl::Span<const PackedLinear> linears,
                      absl::Span<const PackedLinearVariant> variants) {
  if (!linears.empty()) Call(linears, variants).Run();
}

void RunPackedLinears(absl::Span<const PackedLinear> linears, Numerics numerics) {
  // They outlive all threads.
  static const auto& all = *new std::vector<PackedLinearVariant>(PackedLinearVariants(Cpu()));
  static const auto& invariant = *new std::vector<PackedLinearVariant>([] {
    std::vector<PackedLinearVariant> variants = all;
    std::erase_if(variants, [](const PackedLinearVariant& v) { return !v.invariant; });
    return variants;
  }());
  RunPackedLinears(linears, numerics == Numerics::kInvariant ? invariant : all);
}

}  // namespace keel

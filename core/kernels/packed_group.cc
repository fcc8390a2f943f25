#include "core/kernels/packed_group.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "absl/container/fixed_array.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

// As much work as so many rows: with fewer, reading weights takes the time.
constexpr int64_t kFewRows = 8;
constexpr int64_t kBytesAThread = 32 << 10;  // of weights

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of x as a thread has converted them last, in memory that it keeps from call to call.
class ConvertedRows {
 public:
  static ConvertedRows& OfThread() {
    static thread_local ConvertedRows rows;
    return rows;
  }

  // Another call's x may lie where an earlier one's did.
  void BeginCall() { last_ = nullptr; }

  const void* Of(const PackedLinear& linear, const PackedLinearVariant& variant, int64_t begin,
                 int64_t end) {
    if (last_ != nullptr && begin == begin_ && end == end_ && linear.x == last_->x &&
        linear.ldx == last_->ldx && linear.k == last_->k && linear.type == last_->type &&
        linear.format == last_->format) {
      return memory_.get();
    }
    const int64_t bytes = (end - begin) * variant.row_bytes(linear.format, linear.k);
    if (bytes > size_) {
      memory_.reset();
      memory_.reset(static_cast<char*>(::operator new (bytes, std::align_val_t{64})));
      size_ = bytes;
    }
    variant.convert(linear, begin, end, memory_.get());
    last_ = &linear, begin_ = begin, end_ = end;
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(char* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<char, Free> memory_;
  int64_t size_ = 0;
  const PackedLinear* last_ = nullptr;  // whose rows [begin_, end_) they are
  int64_t begin_ = 0, end_ = 0;
};

// Columns [begin, end) of y.
void RunColumns(const PackedLinear& linear, const PackedLinearVariant& variant, int64_t begin,
                int64_t end) {
  const int64_t blocks = CeilDiv(linear.m, variant.most_rows);
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = linear.m * block / blocks, last = linear.m * (block + 1) / blocks;
    const void* rows = ConvertedRows::OfThread().Of(linear, variant, first, last);
    variant.run(linear, rows, {first, last, begin, end});
  }
}

}  // namespace

void RunPackedGroup(absl::Span<const PackedLinear> linears,
                    absl::Span<const PackedLinearVariant> variants) {
  // Work up to each linear, in rows times pieces of kSplit columns.
  absl::FixedArray<int64_t, 512> before(linears.size() + 1);
  before[0] = 0;
  int64_t bytes = 0;
  const auto rows_of = [](const PackedLinear& l) { return l.m == 0 ? 0 : std::max(l.m, kFewRows); };
  for (size_t i = 0; i < linears.size(); ++i) {
    const PackedLinear& linear = linears[i];
    before[i + 1] = before[i] + rows_of(linear) * CeilDiv(linear.n, kSplit);
    bytes += Panels(linear.n) * PanelBytes(linear.format, linear.k) * rows_of(linear) / kFewRows;
  }
  const int64_t work = before.back();
  if (work == 0) return;
  const int64_t shares =
      std::clamp<int64_t>(bytes / kBytesAThread, 1, std::max(1, ParallelThreads()));
  ParallelFor(shares, 1, [&](int64_t first_share, int64_t last_share) {
    const int64_t from = work * first_share / shares, to = work * last_share / shares;
    ConvertedRows::OfThread().BeginCall();
    for (size_t i = 0; i < linears.size(); ++i) {
      const PackedLinear& linear = linears[i];
      const int64_t rows = rows_of(linear), pieces = CeilDiv(linear.n, kSplit);
      if (rows == 0 || before[i + 1] <= from || before[i] >= to) continue;
      // A piece belongs to the share that its first row lies in.
      const auto piece_at = [&](int64_t at) {
        return std::clamp<int64_t>(CeilDiv(std::max<int64_t>(at - before[i], 0), rows), 0, pieces);
      };
      const int64_t begin = piece_at(from), end = piece_at(to);
      if (begin == end) continue;
      RunColumns(linear, BestPackedVariant(linear, linear.m, variants), begin * kSplit,
                 std::min(end * kSplit, linear.n));
    }
  });
}

void RunPackedGroup(absl::Span<const PackedLinear> linears, Numerics numerics) {
  // They outlive all threads.
  static const auto& all = *new std::vector<PackedLinearVariant>(PackedLinearVariants(Cpu()));
  static const auto& invariant = *new std::vector<PackedLinearVariant>([] {
    std::vector<PackedLinearVariant> variants = all;
    std::erase_if(variants, [](const PackedLinearVariant& v) { return !v.invariant; });
    return variants;
  }());
  RunPackedGroup(linears, numerics == Numerics::kInvariant ? invariant : all);
}

}  // namespace keel

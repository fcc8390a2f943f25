#include "core/kernels/packed_experts.h"

#include <algorithm>
#include <cstring>

#include "absl/container/fixed_array.h"
#include "absl/types/span.h"
#include "core/kernels/packed_group.h"
#include "core/kernels/parallel.h"
#include "core/kernels/weighted_rows.h"

namespace keel {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kBytesAPiece =
    64 << 10;  // of rows that are copied; less is not worth waking a thread for

int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t ElementBytes(KernelType type) { return type == KernelType::kF32 ? 4 : 2; }

template <typename T>
float RoundedTo(float x) {
  const typename T::Storage stored = T::Store(x);
  return T::Load(&stored);
}

float Rounded(KernelType type, float x) {
  switch (type) {
    case KernelType::kF32:
      return x;
    case KernelType::kBF16:
      return RoundedTo<lanes::BF16>(x);
    case KernelType::kF16:
      return RoundedTo<lanes::F16>(x);
  }
  return x;
}

float WeightAt(const ExpertRows& r, int64_t row, int64_t i) {
  const int64_t at = row * r.weights_stride + i;
  switch (r.weights_type) {
    case KernelType::kF32:
      return static_cast<const float*>(r.weights)[at];
    case KernelType::kBF16:
      return lanes::BF16::Load(static_cast<const uint16_t*>(r.weights) + at);
    case KernelType::kF16:
      return lanes::F16::Load(static_cast<const _Float16*>(r.weights) + at);
  }
  return 0;
}

// Pairs of a row and one of its experts, by rising expert, those of one expert by rising row. Experts of other ranks are
// left out.
class Pairs {
 public:
  // All arrays lie in the step's scratch.
  struct Arrays {
    int64_t* rows;     // [pairs]: the row of each
    int64_t* places;   // [pairs]: where it stands in the routing, row * top_k + i
    int64_t* first;    // [rows + 2]: of each row's in the next two
    int64_t* of_row;   // [pairs]: pairs of each row in turn
    float* weight_of;  // [pairs]: likewise
  };

  Pairs(const PackedExperts& experts, const ExpertRows& r, const Arrays& arrays)
      : experts_(experts), rows_(r), arrays_(arrays), begin_(experts.experts.size() + 1) {
    SortByExpert();
    SortByRow();
  }

  int64_t size() const { return begin_[begin_.size() - 1]; }
  int64_t row(int64_t pair) const { return arrays_.rows[pair]; }
  // Whether some expert has more than one.
  bool any_share() const { return any_share_; }

  // f(expert, first pair, count) of each that has some.
  template <typename F>
  void ForEachExpert(F f) const {
    for (size_t e = 0; e < experts_.experts.size(); ++e)
      if (begin_[e] < begin_[e + 1]) f(experts_.experts[e], begin_[e], begin_[e + 1] - begin_[e]);
  }

 private:
  // f(expert, place) of each that is computed here, by rising place.
  template <typename F>
  void ForEachPlace(F f) const {
    const int64_t last = static_cast<int64_t>(experts_.experts.size()) - 1;
    for (int64_t row = 0; row < rows_.rows; ++row) {
      for (int64_t i = 0; i < rows_.top_k; ++i) {
        const int64_t e = std::clamp<int64_t>(rows_.chosen[row * rows_.chosen_stride + i], 0, last);
        if (experts_.experts[e].up != nullptr) f(e, row * rows_.top_k + i);
      }
    }
  }

  void SortByExpert() {
    std::fill(begin_.begin(), begin_.end(), 0);
    ForEachPlace([&](int64_t e, int64_t) { ++begin_[e + 1]; });
    for (size_t e = 1; e < begin_.size(); ++e) {
      any_share_ |= begin_[e] > 1;
      begin_[e] += begin_[e - 1];
    }
    absl::FixedArray<int64_t, kUsualExperts> next(begin_.begin(), begin_.end());
    ForEachPlace([&](int64_t e, int64_t place) { arrays_.places[next[e]++] = place; });
    for (int64_t pair = 0; pair < size(); ++pair)
      arrays_.rows[pair] = arrays_.places[pair] / rows_.top_k;
  }

  void SortByRow() {
    // One further on than where a row's begin, until its own have been counted up to there.
    int64_t* const next = arrays_.first + 1;
    std::fill_n(arrays_.first, rows_.rows + 2, 0);
    for (int64_t pair = 0; pair < size(); ++pair) ++next[row(pair) + 1];
    for (int64_t row = 0; row < rows_.rows; ++row) next[row + 1] += next[row];
    for (int64_t pair = 0; pair < size(); ++pair) {
      const int64_t at = next[row(pair)]++;
      arrays_.of_row[at] = pair;
      arrays_.weight_of[at] =
          Rounded(experts_.type, WeightAt(rows_, row(pair), arrays_.places[pair] % rows_.top_k));
    }
  }

  static constexpr size_t kUsualExperts = 512;
  const PackedExperts& experts_;
  const ExpertRows& rows_;
  const Arrays arrays_;
  absl::FixedArray<int64_t, kUsualExperts> begin_;  // of each expert's pairs
  bool any_share_ = false;
};

// The parts of the scratch memory, with a row a pair.
struct Scratch {
  char *hidden, *gate, *up;
  Pairs::Arrays pairs;

  static int64_t BytesARow(const PackedExperts& e, int64_t top_k) {
    const int64_t elements = e.hidden_size + (e.has_gate ? 2 : 1) * e.inner_size;
    const int64_t pair_bytes = ElementBytes(e.type) * elements +
                               3 * static_cast<int64_t>(sizeof(int64_t)) +
                               static_cast<int64_t>(sizeof(float));
    // What is aligned, and `first` with its two more, is room for a single row, too.
    return Aligned(top_k * pair_bytes + 3 * static_cast<int64_t>(sizeof(int64_t)) + 8 * kAlignment);
  }

  Scratch(const PackedExperts& e, const ExpertRows& r) {
    char* at = static_cast<char*>(r.scratch);
    const auto take = [&](int64_t bytes) {
      char* taken = at;
      at += Aligned(bytes);
      return taken;
    };
    const int64_t pairs = r.rows * r.top_k, element = ElementBytes(e.type);
    const auto integers = [&](int64_t count) {
      return reinterpret_cast<int64_t*>(take(count * static_cast<int64_t>(sizeof(int64_t))));
    };
    hidden = take(pairs * e.hidden_size * element);
    gate = take(e.has_gate ? pairs * e.inner_size * element : 0);
    up = take(pairs * e.inner_size * element);
    this->pairs.rows = integers(pairs);
    this->pairs.places = integers(pairs);
    this->pairs.first = integers(r.rows + 2);
    this->pairs.of_row = integers(pairs);
    this->pairs.weight_of =
        reinterpret_cast<float*>(take(pairs * static_cast<int64_t>(sizeof(float))));
  }
};

// Rows of x beside each other where an expert has several. One alone is read where it is: rows that are experts' of the
// same token are then converted once.
void GatherRows(const PackedExperts& e, const ExpertRows& r, const Pairs& pairs, char* out) {
  const int64_t element = ElementBytes(e.type), bytes = e.hidden_size * element;
  if (!pairs.any_share()) return;
  ParallelFor(
      pairs.size(), std::max<int64_t>(1, kBytesAPiece / bytes), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          std::memcpy(out + i * bytes,
                      static_cast<const char*>(r.x) + pairs.row(i) * r.x_stride * element, bytes);
      });
}

void Activate(const PackedExperts& e, int64_t pairs, char* gate, char* up) {
  ElementRows inner;
  inner.type = e.type;
  inner.op = e.has_gate ? ElementOp::kActMul : ElementOp::kAct;
  inner.act = e.act;
  inner.limit = e.limit;
  inner.b_offset = e.up_offset;
  inner.a = e.has_gate ? gate : up;
  inner.b = up;
  inner.y = up;
  inner.rows = pairs;
  inner.size = inner.a_stride = inner.b_stride = inner.y_stride = e.inner_size;
  RunElementRows(inner);
}

}  // namespace

int64_t ExpertScratchBytes(const PackedExperts& experts, int64_t top_k) {
  return Scratch::BytesARow(experts, top_k);
}

void RunPackedExperts(const PackedExperts& e, const ExpertRows& r) {
  if (r.rows == 0) return;
  static thread_local std::vector<PackedLinear> linears;  // kept, so that nothing is allocated
  const Scratch scratch(e, r);
  const Pairs pairs(e, r, scratch.pairs);
  const int64_t element = ElementBytes(e.type);
  const auto add = [&](const PackedLinear& packed, int64_t m, const void* x, int64_t ldx, char* y) {
    PackedLinear& linear = linears.emplace_back(packed);
    linear.m = m, linear.x = x, linear.y = y;
    linear.ldx = ldx, linear.ldy = linear.n;
  };
  GatherRows(e, r, pairs, scratch.hidden);
  linears.clear();
  pairs.ForEachExpert([&](const PackedExpert& expert, int64_t first, int64_t count) {
    const bool alone = count == 1;
    const char* x = alone ? static_cast<const char*>(r.x) + pairs.row(first) * r.x_stride * element
                          : scratch.hidden + first * e.hidden_size * element;
    const int64_t ldx = alone ? r.x_stride : e.hidden_size, at = first * e.inner_size * element;
    if (e.has_gate) add(*expert.gate, count, x, ldx, scratch.gate + at);
    add(*expert.up, count, x, ldx, scratch.up + at);
  });
  RunPackedGroup(linears);
  Activate(e, pairs.size(), scratch.gate, scratch.up);
  linears.clear();
  pairs.ForEachExpert([&](const PackedExpert& expert, int64_t first, int64_t count) {
    add(*expert.down, count, scratch.up + first * e.inner_size * element, e.inner_size,
        scratch.hidden + first * e.hidden_size * element);
  });
  RunPackedGroup(linears);
  WeightedRows sum;
  sum.type = e.type;
  sum.x = scratch.hidden;
  sum.y = r.y;
  sum.first = scratch.pairs.first;
  sum.row_of = scratch.pairs.of_row;
  sum.weights = scratch.pairs.weight_of;
  sum.rows = r.rows;
  sum.size = e.hidden_size;
  RunWeightedRows(sum);
}

}  // namespace keel

#include "core/kernels/weighted_rows.h"

#include <algorithm>

#include "core/kernels/parallel.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

constexpr int64_t kElementsAPiece = 16 << 10;  // less is not worth waking a thread for

template <int kWidth, typename T>
KEEL_INLINE void SumRows(const WeightedRows& r, int64_t begin, int64_t end) {
  using Storage = typename T::Storage;
  const Storage* x = static_cast<const Storage*>(r.x);
  for (int64_t row = begin; row < end; ++row) {
    Storage* y = static_cast<Storage*>(r.y) + row * r.size;
    int64_t j = 0;
    for (; j + kLanes <= r.size; j += kLanes) {
      F32x16<kWidth> sum = {}, v;
      for (int64_t i = r.first[row]; i < r.first[row + 1]; ++i) {
        T::LoadLanes(x + r.row_of[i] * r.size + j, &v);
        sum += v * r.weights[i];
      }
      T::StoreLanes(sum, y + j);
    }
    for (; j < r.size; ++j) {
      float sum = 0;
      for (int64_t i = r.first[row]; i < r.first[row + 1]; ++i)
        sum += r.weights[i] * T::Load(x + r.row_of[i] * r.size + j);
      y[j] = T::Store(sum);
    }
  }
}

template <int kWidth>
KEEL_INLINE void SumRowsOfType(const WeightedRows& r, int64_t begin, int64_t end) {
  switch (r.type) {
    case KernelType::kF32:
      return SumRows<kWidth, F32>(r, begin, end);
    case KernelType::kBF16:
      return SumRows<kWidth, BF16>(r, begin, end);
    case KernelType::kF16:
      return SumRows<kWidth, F16>(r, begin, end);
  }
}

void SumPlain(const WeightedRows& r, int64_t b, int64_t e) { SumRowsOfType<4>(r, b, e); }
#if defined(__x86_64__)
KEEL_TARGET_AVX2 void SumAvx2(const WeightedRows& r, int64_t b, int64_t e) {
  SumRowsOfType<8>(r, b, e);
}
KEEL_TARGET_AVX512 void SumAvx512(const WeightedRows& r, int64_t b, int64_t e) {
  SumRowsOfType<16>(r, b, e);
}
#endif

}  // namespace

std::vector<WeightedRowsVariant> WeightedRowsVariants(const CpuFeatures& cpu) {
  std::vector<WeightedRowsVariant> variants = {{"plain", SumPlain}};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back({"avx2", SumAvx2});
  if (cpu.avx512) variants.push_back({"avx512", SumAvx512});
#else
  (void)cpu;
#endif
  return variants;
}

void RunWeightedRows(const WeightedRows& sum) {
  static const auto* fastest = new WeightedRowsVariant(WeightedRowsVariants(Cpu()).back());
  const int64_t elements = std::max<int64_t>(1, sum.size);
  ParallelFor(sum.rows, std::max<int64_t>(1, kElementsAPiece / elements),
              [&](int64_t begin, int64_t end) { fastest->run(sum, begin, end); });
}

}  // namespace keel

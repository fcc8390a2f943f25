#include "core/kernels/row_ops.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/parallel.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

constexpr int64_t kElementsAPiece = 16 << 10;  // less is not worth waking a thread for

template <typename T>
KEEL_INLINE float Round(float x) {
  const typename T::Storage stored = T::Store(x);
  return T::Load(&stored);
}

template <int kWidth, typename T>
KEEL_INLINE void RmsNorm(const RmsNormRows& r, int64_t begin, int64_t end) {
  using Storage = typename T::Storage;
  const Storage* w = static_cast<const Storage*>(r.w);
  for (int64_t row = begin; row < end; ++row) {
    const Storage* x = static_cast<const Storage*>(r.x) + row * r.size;
    Storage* y = static_cast<Storage*>(r.y) + row * r.size;
    F32x16<kWidth> squares = {}, v, weight;
    int64_t i = 0;
    for (; i + kLanes <= r.size; i += kLanes) {
      T::LoadLanes(x + i, &v);
      squares += v * v;
    }
    float sum = Sum(squares);
    for (; i < r.size; ++i) sum += T::Load(x + i) * T::Load(x + i);
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(r.size) + r.eps);
    for (i = 0; i + kLanes <= r.size; i += kLanes) {
      T::LoadLanes(x + i, &v);
      T::LoadLanes(w + i, &weight);
      v = v * scale;
      T::RoundLanes(&v);
      T::StoreLanes(v * weight, y + i);
    }
    for (; i < r.size; ++i) y[i] = T::Store(Round<T>(T::Load(x + i) * scale) * T::Load(w + i));
  }
}

template <int kWidth, typename T>
KEEL_INLINE void RopeHead(const typename T::Storage* x, const typename T::Storage* cos,
                          const typename T::Storage* sin, typename T::Storage* y, int64_t half) {
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    F32x16<kWidth> a, b, c, s;
    T::LoadLanes(x + i, &a);
    T::LoadLanes(x + half + i, &b);
    T::LoadLanes(cos + i, &c);
    T::LoadLanes(sin + i, &s);
    F32x16<kWidth> ac = a * c, bs = b * s, bc = b * c, as = a * s;
    T::RoundLanes(&ac);
    T::RoundLanes(&bs);
    T::RoundLanes(&bc);
    T::RoundLanes(&as);
    T::StoreLanes(ac - bs, y + i);
    T::StoreLanes(bc + as, y + half + i);
  }
  for (; i < half; ++i) {
    const float a = T::Load(x + i), b = T::Load(x + half + i);
    const float c = T::Load(cos + i), s = T::Load(sin + i);
    y[i] = T::Store(Round<T>(a * c) - Round<T>(b * s));
    y[half + i] = T::Store(Round<T>(b * c) + Round<T>(a * s));
  }
}

template <int kWidth, typename T>
KEEL_INLINE void Rope(const RopeRows& r, int64_t begin, int64_t end) {
  using Storage = typename T::Storage;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t head = 0; head < r.heads; ++head) {
      RopeHead<kWidth, T>(
          static_cast<const Storage*>(r.x) + row * r.row_stride + head * r.head_stride,
          static_cast<const Storage*>(r.cos) + row * r.half,
          static_cast<const Storage*>(r.sin) + row * r.half,
          static_cast<Storage*>(r.y) + (row * r.heads + head) * 2 * r.half, r.half);
    }
  }
}

template <int kWidth>
KEEL_INLINE void RmsNormOfType(const RmsNormRows& r, int64_t begin, int64_t end) {
  switch (r.type) {
    case KernelType::kF32:
      return RmsNorm<kWidth, F32>(r, begin, end);
    case KernelType::kBF16:
      return RmsNorm<kWidth, BF16>(r, begin, end);
    case KernelType::kF16:
      return RmsNorm<kWidth, F16>(r, begin, end);
  }
}

template <int kWidth>
KEEL_INLINE void RopeOfType(const RopeRows& r, int64_t begin, int64_t end) {
  switch (r.type) {
    case KernelType::kF32:
      return Rope<kWidth, F32>(r, begin, end);
    case KernelType::kBF16:
      return Rope<kWidth, BF16>(r, begin, end);
    case KernelType::kF16:
      return Rope<kWidth, F16>(r, begin, end);
  }
}

void RmsNormPlain(const RmsNormRows& r, int64_t b, int64_t e) { RmsNormOfType<4>(r, b, e); }
void RopePlain(const RopeRows& r, int64_t b, int64_t e) { RopeOfType<4>(r, b, e); }
#if defined(__x86_64__)
KEEL_TARGET_AVX2 void RmsNormAvx2(const RmsNormRows& r, int64_t b, int64_t e) {
  RmsNormOfType<8>(r, b, e);
}
KEEL_TARGET_AVX2 void RopeAvx2(const RopeRows& r, int64_t b, int64_t e) { RopeOfType<8>(r, b, e); }
KEEL_TARGET_AVX512 void RmsNormAvx512(const RmsNormRows& r, int64_t b, int64_t e) {
  RmsNormOfType<16>(r, b, e);
}
KEEL_TARGET_AVX512 void RopeAvx512(const RopeRows& r, int64_t b, int64_t e) {
  RopeOfType<16>(r, b, e);
}
#endif

const RowOpsVariant& Fastest() {
  static const auto* variant = new RowOpsVariant(RowOpsVariants(Cpu()).back());
  return *variant;
}

}  // namespace

std::vector<RowOpsVariant> RowOpsVariants(const CpuFeatures& cpu) {
  std::vector<RowOpsVariant> variants = {{"plain", RmsNormPlain, RopePlain}};
#if defined(__x86_64__)
  if (cpu.avx2) variants.push_back({"avx2", RmsNormAvx2, RopeAvx2});
  if (cpu.avx512) variants.push_back({"avx512", RmsNormAvx512, RopeAvx512});
#else
  (void)cpu;
#endif
  return variants;
}

void RunRmsNorm(const RmsNormRows& norm) {
  const int64_t grain = std::max<int64_t>(1, kElementsAPiece / std::max<int64_t>(1, norm.size));
  ParallelFor(norm.rows, grain,
              [&](int64_t begin, int64_t end) { Fastest().rms_norm(norm, begin, end); });
}

void RunRope(const RopeRows& rope) {
  const int64_t elements = std::max<int64_t>(1, rope.heads * rope.half * 2);
  const int64_t grain = std::max<int64_t>(1, kElementsAPiece / elements);
  ParallelFor(rope.rows, grain,
              [&](int64_t begin, int64_t end) { Fastest().rope(rope, begin, end); });
}

}  // namespace keel

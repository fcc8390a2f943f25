#include "core/kernels/row_ops.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace keel {
namespace {

// Element types as the test sees them; the bound is one rounding more than the kernel makes.
struct F32 {
  using Storage = float;
  static constexpr KernelType kType = KernelType::kF32;
  static constexpr double kStep = 1.0 / (1 << 23);
  static float Get(float x) { return x; }
  static float Put(float x) { return x; }
};
struct BF16 {
  using Storage = uint16_t;
  static constexpr KernelType kType = KernelType::kBF16;
  static constexpr double kStep = 1.0 / (1 << 7);
  static float Get(uint16_t bits) {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float x;
    std::memcpy(&x, &wide, 4);
    return x;
  }
  static uint16_t Put(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
};
struct F16 {
  using Storage = _Float16;
  static constexpr KernelType kType = KernelType::kF16;
  static constexpr double kStep = 1.0 / (1 << 10);
  static float Get(_Float16 x) { return static_cast<float>(x); }
  static _Float16 Put(float x) { return static_cast<_Float16>(x); }
};

template <typename T>
std::vector<typename T::Storage> Random(int64_t n, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<typename T::Storage> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(T::Put(normal(random)));
  return out;
}

template <typename T>
class RowOpsTest : public ::testing::Test {};
using ElementTypes = ::testing::Types<F32, BF16, F16>;
TYPED_TEST_SUITE(RowOpsTest, ElementTypes);

TYPED_TEST(RowOpsTest, RmsNormOfEveryVariantIsTheFormulaInFp64) {
  using T = TypeParam;
  for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
    for (int64_t size : {1, 7, 16, 33, 64, 129}) {
      const auto x = Random<T>(3 * size, static_cast<int>(size)), w = Random<T>(size, 1);
      std::vector<typename T::Storage> y(3 * size);
      RmsNormRows rows{T::kType, x.data(), w.data(), y.data(), 3, size, 1e-5f};
      variant.rms_norm(rows, 0, 3);
      for (int64_t r = 0; r < 3; ++r) {
        double squares = 0;
        for (int64_t i = 0; i < size; ++i) squares += std::pow(T::Get(x[r * size + i]), 2);
        const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + double{1e-5f});
        for (int64_t i = 0; i < size; ++i) {
          const double expected = T::Get(x[r * size + i]) * scale * T::Get(w[i]);
          EXPECT_NEAR(T::Get(y[r * size + i]), expected, 2 * T::kStep * std::abs(expected) + 1e-6)
              << variant.name << ", size " << size;
        }
      }
    }
  }
}

TYPED_TEST(RowOpsTest, RopeOfEveryVariantRotatesPairsOfHalves) {
  using T = TypeParam;
  constexpr int64_t kRows = 2, kHeads = 3;
  for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
    for (int64_t half : {1, 8, 16, 19, 32}) {
      const int64_t dim = 2 * half, head_stride = dim + 3, row_stride = kHeads * head_stride + 1;
      const auto x = Random<T>(kRows * row_stride, static_cast<int>(half));
      const auto cos = Random<T>(kRows * half, 1), sin = Random<T>(kRows * half, 2);
      std::vector<typename T::Storage> y(kRows * kHeads * dim);
      RopeRows rows;
      rows.type = T::kType;
      rows.x = x.data(), rows.row_stride = row_stride, rows.head_stride = head_stride;
      rows.cos = cos.data(), rows.sin = sin.data(), rows.y = y.data();
      rows.rows = kRows, rows.heads = kHeads, rows.half = half;
      variant.rope(rows, 0, kRows);
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t h = 0; h < kHeads; ++h) {
          for (int64_t i = 0; i < half; ++i) {
            const auto* in = x.data() + r * row_stride + h * head_stride;
            const auto* out = y.data() + (r * kHeads + h) * dim;
            const double a = T::Get(in[i]), b = T::Get(in[half + i]);
            const double c = T::Get(cos[r * half + i]), s = T::Get(sin[r * half + i]);
            const double bound =
                2 * T::kStep *
                    (std::abs(a * c) + std::abs(b * s) + std::abs(b * c) + std::abs(a * s)) +
                1e-7;
            EXPECT_NEAR(T::Get(out[i]), a * c - b * s, bound) << variant.name << ", half " << half;
            EXPECT_NEAR(T::Get(out[half + i]), b * c + a * s, bound) << variant.name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace keel

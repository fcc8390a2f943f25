#include "core/kernels/row_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "core/kernels/kv_codes.h"
#include "core/kernels/kv_type.h"
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
      NormRows rows;
      rows.type = T::kType;
      rows.x = x.data(), rows.x_stride = size, rows.w = w.data(), rows.y = y.data();
      rows.rows = 3, rows.size = size, rows.eps = 1e-5f;
      variant.norm(rows, 0, 3);
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

// What is added is rounded, and both kinds of norm take biases before and after the last rounding.
TYPED_TEST(RowOpsTest, NormsOfASumOfEveryVariantAreTheFormulaInFp64) {
  using T = TypeParam;
  for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
    for (const bool center : {false, true}) {
      for (const int64_t size : {3, 16, 50}) {
        const int64_t stride = size + 5;
        const auto x = Random<T>(2 * stride, 1), add = Random<T>(2 * stride, 2);
        const auto w = Random<T>(size, 3), b = Random<T>(size, 4);
        std::vector<typename T::Storage> y(2 * size), sum(2 * size);
        NormRows rows;
        rows.type = T::kType;
        rows.x = x.data(), rows.x_stride = stride, rows.add = add.data(), rows.add_stride = stride;
        rows.w = w.data(), rows.b = b.data(), rows.y = y.data(), rows.sum = sum.data();
        rows.rows = 2, rows.size = size, rows.eps = 1e-5f;
        rows.center = center, rows.cast_last = size == 50;
        variant.norm(rows, 0, 2);
        for (int64_t r = 0; r < 2; ++r) {
          std::vector<double> s;
          double mean = 0, squares = 0;
          for (int64_t i = 0; i < size; ++i) {
            const float exact = T::Get(x[r * stride + i]) + T::Get(add[r * stride + i]);
            EXPECT_EQ(T::Get(sum[r * size + i]), T::Get(T::Put(exact)));
            s.push_back(T::Get(sum[r * size + i]));
            if (center) mean += s.back() / static_cast<double>(size);
          }
          for (const double v : s) squares += (v - mean) * (v - mean);
          const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + double{1e-5f});
          for (int64_t i = 0; i < size; ++i) {
            const double product = (s[i] - mean) * scale * T::Get(w[i]);
            const double expected = product + T::Get(b[i]);
            EXPECT_NEAR(T::Get(y[r * size + i]), expected,
                        2 * T::kStep * (std::abs(product) + std::abs(expected)) + 1e-6)
                << variant.name << ", size " << size;
          }
        }
      }
    }
  }
}

TYPED_TEST(RowOpsTest, KeysAndValuesGoToTheirSlotsInEveryVariant) {
  using T = TypeParam;
  constexpr int64_t kHeads = 2, kBlockSize = 4, kVDim = 5, kBlocks = 3;
  const std::vector<int64_t> slots = {9, 2, 3};
  const int64_t rows = static_cast<int64_t>(slots.size());
  for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
    for (const int64_t half : {0, 4, 9}) {
      constexpr int64_t kDim = 18, kStride = kHeads * kDim + 3;
      const auto k = Random<T>(rows * kStride, 1), v = Random<T>(rows * kHeads * kVDim, 2);
      const auto cos = Random<T>(rows * half, 3), sin = Random<T>(rows * half, 4);
      std::vector<typename T::Storage> k_cache(kBlocks * kHeads * kBlockSize * kDim),
          v_cache(kBlocks * kHeads * kBlockSize * kVDim), rotated(rows * kHeads * kDim);
      KvRows kv;
      kv.type = T::kType, kv.stored = KvTypeOf(T::kType);
      kv.k = k.data(), kv.k_row_stride = kStride, kv.k_head_stride = kDim;
      kv.v = v.data(), kv.v_row_stride = kHeads * kVDim, kv.v_head_stride = kVDim;
      kv.slots = slots.data(), kv.k_cache = k_cache.data(), kv.v_cache = v_cache.data();
      kv.rows = rows, kv.heads = kHeads, kv.k_dim = kDim, kv.v_dim = kVDim;
      kv.block_size = kBlockSize;
      if (half > 0) kv.cos = cos.data(), kv.sin = sin.data(), kv.half = half;
      variant.write_kv(kv, 0, rows);
      RopeRows rope;
      rope.type = T::kType;
      rope.x = k.data(), rope.row_stride = kStride, rope.head_stride = kDim;
      rope.cos = cos.data(), rope.sin = sin.data(), rope.y = rotated.data();
      rope.rows = rows, rope.heads = kHeads, rope.size = kDim, rope.half = half;
      variant.rope(rope, 0, rows);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t h = 0; h < kHeads; ++h) {
          const int64_t slot =
              (slots[r] / kBlockSize * kHeads + h) * kBlockSize + slots[r] % kBlockSize;
          for (int64_t i = 0; i < kDim; ++i) {
            EXPECT_EQ(T::Get(k_cache[slot * kDim + i]),
                      T::Get(half > 0 ? rotated[(r * kHeads + h) * kDim + i]
                                      : k[r * kStride + h * kDim + i]));
          }
          for (int64_t i = 0; i < kVDim; ++i)
            EXPECT_EQ(T::Get(v_cache[slot * kVDim + i]), T::Get(v[(r * kHeads + h) * kVDim + i]));
        }
      }
    }
  }
}

// The largest magnitude of a row is Code's largest; no number is further from its code than codes are apart there.
template <typename Code>
void ExpectCodesOf(const std::vector<double>& row, const typename Code::Storage* codes, float scale,
                   const std::string& where) {
  double largest = 0;
  for (const double x : row) largest = std::max(largest, std::abs(x));
  EXPECT_NEAR(scale, largest / Code::kMax, 1e-6 * largest) << where;
  for (size_t i = 0; i < row.size(); ++i) {
    const double x = Code::Load(codes[i]) / Code::kUnit * scale;
    const double step = std::is_same_v<Code, lanes::Int8>
                            ? scale
                            : std::max(std::abs(row[i]) / 8, static_cast<double>(scale) / 512);
    EXPECT_NEAR(x, row[i], 0.501 * step) << where;
  }
}

TYPED_TEST(RowOpsTest, KeysAndValuesBecomeCodesWithAScaleARowInEveryVariant) {
  using T = TypeParam;
  constexpr int64_t kHeads = 2, kBlockSize = 4, kDim = 37, kVDim = 5, kBlocks = 3, kHalf = 17;
  const std::vector<int64_t> slots = {9, 2, 3};
  const int64_t rows = static_cast<int64_t>(slots.size());
  const auto k = Random<T>(rows * kHeads * kDim, 1), v = Random<T>(rows * kHeads * kVDim, 2);
  const auto cos = Random<T>(rows * kHalf, 3), sin = Random<T>(rows * kHalf, 4);
  for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
    for (const KvType stored : {KvType::kFp8, KvType::kInt8}) {
      for (const bool rotates : {false, true}) {
        std::vector<typename T::Storage> rotated(k.size());
        RopeRows rope;
        rope.type = T::kType;
        rope.x = k.data(), rope.row_stride = kHeads * kDim, rope.head_stride = kDim;
        rope.cos = cos.data(), rope.sin = sin.data(), rope.y = rotated.data();
        rope.rows = rows, rope.heads = kHeads, rope.size = kDim, rope.half = kHalf;
        variant.rope(rope, 0, rows);
        std::vector<uint8_t> k_cache(kBlocks * kHeads * kBlockSize * kDim),
            v_cache(kBlocks * kHeads * kBlockSize * kVDim);
        std::vector<float> k_scales(kBlocks * kHeads * kBlockSize), v_scales(k_scales.size());
        KvRows kv;
        kv.type = T::kType, kv.stored = stored;
        kv.k = k.data(), kv.k_row_stride = kHeads * kDim, kv.k_head_stride = kDim;
        kv.v = v.data(), kv.v_row_stride = kHeads * kVDim, kv.v_head_stride = kVDim;
        kv.slots = slots.data(), kv.k_cache = k_cache.data(), kv.v_cache = v_cache.data();
        kv.k_scales = k_scales.data(), kv.v_scales = v_scales.data();
        kv.rows = rows, kv.heads = kHeads, kv.k_dim = kDim, kv.v_dim = kVDim;
        kv.block_size = kBlockSize;
        if (rotates) kv.cos = cos.data(), kv.sin = sin.data(), kv.half = kHalf;
        variant.write_kv(kv, 0, rows);
        const auto expect = [&](const auto& numbers, int64_t first, int64_t size, int64_t slot,
                                const std::vector<uint8_t>& codes, const auto& scales) {
          std::vector<double> row;
          for (int64_t i = 0; i < size; ++i) row.push_back(T::Get(numbers[first + i]));
          const uint8_t* at = codes.data() + slot * size;
          if (stored == KvType::kFp8) {
            ExpectCodesOf<lanes::Fp8>(row, at, scales[slot], variant.name);
          } else {
            ExpectCodesOf<lanes::Int8>(row, reinterpret_cast<const int8_t*>(at), scales[slot],
                                       variant.name);
          }
        };
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t h = 0; h < kHeads; ++h) {
            const int64_t slot =
                (slots[r] / kBlockSize * kHeads + h) * kBlockSize + slots[r] % kBlockSize;
            expect(rotates ? rotated : k, (r * kHeads + h) * kDim, kDim, slot, k_cache, k_scales);
            expect(v, (r * kHeads + h) * kVDim, kVDim, slot, v_cache, v_scales);
          }
        }
      }
    }
  }
}

// What is no number stays none, and a row of zeros zeros.
TYPED_TEST(RowOpsTest, ScalesOfRowsWithoutNumbersInEveryVariant) {
  using T = TypeParam;
  constexpr int64_t kDim = 21;
  for (const float x : {0.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<typename T::Storage> k(kDim);
    for (const int64_t place : {2, 20}) {
      k[place] = T::Put(x);
      for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
        const int64_t slot = 0;
        std::vector<int8_t> codes(kDim, 3);
        float scale = 7;
        KvRows kv;
        kv.type = T::kType, kv.stored = KvType::kInt8;
        kv.k = k.data(), kv.k_row_stride = kv.k_head_stride = kDim, kv.slots = &slot;
        kv.k_cache = codes.data(), kv.k_scales = &scale;
        kv.rows = kv.heads = kv.block_size = 1, kv.k_dim = kDim;
        variant.write_kv(kv, 0, 1);
        EXPECT_EQ(std::isnan(scale), x != 0) << variant.name;
        EXPECT_EQ(codes, std::vector<int8_t>(kDim)) << variant.name;
      }
    }
  }
}

TYPED_TEST(RowOpsTest, RopeOfEveryVariantRotatesPairsOfHalvesAndKeepsTheRest) {
  using T = TypeParam;
  constexpr int64_t kRows = 2, kHeads = 3;
  for (const RowOpsVariant& variant : RowOpsVariants(Cpu())) {
    for (int64_t half : {1, 8, 16, 19, 32, -1, -16, -19, -40}) {  // negative: wide tables
      const bool wide = half < 0;
      half = std::abs(half);
      const int64_t dim = 2 * half + half % 3, head_stride = dim + 3,
                    row_stride = kHeads * head_stride + 1;
      const auto x = Random<T>(kRows * row_stride, static_cast<int>(half));
      const auto cos = Random<T>(kRows * half, 1), sin = Random<T>(kRows * half, 2);
      std::vector<float> wide_cos, wide_sin;
      for (const auto& c : cos) wide_cos.push_back(T::Get(c));
      for (const auto& s : sin) wide_sin.push_back(T::Get(s));
      std::vector<typename T::Storage> y(kRows * kHeads * dim);
      RopeRows rows;
      rows.type = T::kType;
      rows.x = x.data(), rows.row_stride = row_stride, rows.head_stride = head_stride;
      rows.cos = cos.data(), rows.sin = sin.data(), rows.y = y.data();
      rows.wide = wide;
      if (wide) rows.cos = wide_cos.data(), rows.sin = wide_sin.data();
      rows.rows = kRows, rows.heads = kHeads, rows.size = dim, rows.half = half;
      variant.rope(rows, 0, kRows);
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t h = 0; h < kHeads; ++h) {
          for (int64_t i = 0; i < half; ++i) {
            const auto* in = x.data() + r * row_stride + h * head_stride;
            const auto* out = y.data() + (r * kHeads + h) * dim;
            const double a = T::Get(in[i]), b = T::Get(in[half + i]);
            const double c = T::Get(cos[r * half + i]), s = T::Get(sin[r * half + i]);
            const double products =
                std::abs(a * c) + std::abs(b * s) + std::abs(b * c) + std::abs(a * s);
            const double results = std::abs(a * c - b * s) + std::abs(b * c + a * s);
            const double bound =
                (wide ? T::kStep * results + 1e-6 * products : 2 * T::kStep * products) + 1e-7;
            EXPECT_NEAR(T::Get(out[i]), a * c - b * s, bound) << variant.name << ", half " << half;
            EXPECT_NEAR(T::Get(out[half + i]), b * c + a * s, bound) << variant.name;
          }
          for (int64_t i = 2 * half; i < dim; ++i) {
            EXPECT_EQ(T::Get(y[(r * kHeads + h) * dim + i]),
                      T::Get(x[r * row_stride + h * head_stride + i]));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace keel

#include "core/kernels/packed_linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "core/base/cpu.h"
#include "core/kernels/packed_linear_variants.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

double Step(KernelType type) {  // what one rounding may change
  switch (type) {
    case KernelType::kF32:
      return 1.0 / (1 << 23);
    case KernelType::kBF16:
      return 1.0 / (1 << 8);
    case KernelType::kF16:
      return 1.0 / (1 << 11);
  }
  return 0;
}

int64_t Size(KernelType type) { return type == KernelType::kF32 ? 4 : 2; }

// Numbers of a type, 64-byte aligned or off by one element.
class Numbers {
 public:
  Numbers(KernelType type, int64_t count) : type_(type), bytes_(count * Size(type)) {}

  float Get(int64_t i) const {
    switch (type_) {
      case KernelType::kF32:
        return lanes::F32::Load(reinterpret_cast<const float*>(bytes_.data()) + i);
      case KernelType::kBF16:
        return lanes::BF16::Load(reinterpret_cast<const uint16_t*>(bytes_.data()) + i);
      case KernelType::kF16:
        return lanes::F16::Load(reinterpret_cast<const _Float16*>(bytes_.data()) + i);
    }
    return 0;
  }
  void Set(int64_t i, float x) {
    switch (type_) {
      case KernelType::kF32:
        reinterpret_cast<float*>(bytes_.data())[i] = x;
        break;
      case KernelType::kBF16:
        reinterpret_cast<uint16_t*>(bytes_.data())[i] = lanes::BF16::Store(x);
        break;
      case KernelType::kF16:
        reinterpret_cast<_Float16*>(bytes_.data())[i] = lanes::F16::Store(x);
        break;
    }
  }
  void* data() { return bytes_.data(); }
  const void* data() const { return bytes_.data(); }
  int64_t size() const { return static_cast<int64_t>(bytes_.size()) / Size(type_); }

 private:
  KernelType type_;
  std::vector<char> bytes_;
};

struct Free {
  void operator()(char* p) const { ::operator delete (p, std::align_val_t{64}); }
};

struct Shape {
  int64_t m, n, k;
  bool bias = true, residual = true;
  bool in_place = false;  // y is the residual
};

// One linear with what it is computed from. Rows lie farther apart than they are long; what is between must not count.
struct Problem {
  Shape shape;
  KernelType type;
  Numbers w, x, residual, y, y_before;
  std::vector<float> bias;
  std::unique_ptr<char, Free> packed;
  PackedLinear linear;
  std::vector<double> expected, tolerance;

  Problem(WeightType weights, KernelType type, const Shape& s, int seed, float scale = 1)
      : shape(s),
        type(type),
        w(Stored(weights), s.n * (s.k + 5)),
        x(type, s.m * (s.k + 3)),
        residual(type, s.m * (s.n + 2)),
        y(type, s.m * (s.n + 7)),
        y_before(type, 0) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (int64_t i = 0; i < w.size(); ++i) w.Set(i, i % (s.k + 5) < s.k ? normal(random) : nan);
    for (int64_t i = 0; i < x.size(); ++i) {
      x.Set(i, i % (s.k + 3) < s.k ? scale * normal(random) : nan);
    }
    for (int64_t i = 0; i < residual.size(); ++i) residual.Set(i, scale * normal(random));
    for (int64_t i = 0; i < y.size(); ++i) y.Set(i, scale * normal(random));
    for (int64_t i = 0; i < s.n; ++i) bias.push_back(scale * normal(random));
    y_before = y;
    const PackedFormat format = {.weights = weights};
    const int64_t bytes = Panels(s.n) * PanelBytes(format, s.k);
    packed.reset(static_cast<char*>(::operator new (bytes, std::align_val_t{64})));
    std::memset(packed.get(), 0xff, bytes);
    PackPanels(format, {Stored(weights), w.data(), s.n, s.k, s.k + 5}, 0, Panels(s.n),
               packed.get());
    linear = {.format = format,
              .n = s.n,
              .k = s.k,
              .weights = packed.get(),
              .bias = s.bias ? bias.data() : nullptr,
              .type = type,
              .m = s.m,
              .x = x.data(),
              .y = y.data(),
              .residual = s.in_place   ? y.data()
                          : s.residual ? residual.data()
                                       : nullptr,
              .ldx = s.k + 3,
              .ldy = s.n + 7,
              .ldr = s.in_place ? s.n + 7 : s.n + 2};
    Expect(scale);
  }

  static KernelType Stored(WeightType weights) {
    return weights == WeightType::kF32   ? KernelType::kF32
           : weights == WeightType::kF16 ? KernelType::kF16
                                         : KernelType::kBF16;
  }

  // In fp64; each of k products and sums rounds once in fp32, what is stored once or twice. Dot products of bf16 take
  // denormals for zero.
  void Expect(float scale) {
    for (int64_t i = 0; i < shape.m; ++i) {
      for (int64_t j = 0; j < shape.n; ++j) {
        double sum = shape.bias ? bias[j] : 0.0, magnitude = std::abs(sum);
        for (int64_t k = 0; k < shape.k; ++k) {
          const double product =
              double{x.Get(i * (shape.k + 3) + k)} * w.Get(j * (shape.k + 5) + k);
          sum += product;
          magnitude += std::abs(product);
        }
        double bound = 2.0 * static_cast<double>(shape.k + 1) * std::ldexp(magnitude, -24) +
                       std::abs(sum) * Step(type);
        if (linear.residual != nullptr) {
          sum += shape.in_place ? y.Get(i * linear.ldy + j) : residual.Get(i * linear.ldr + j);
          bound += std::abs(sum) * Step(type);
        }
        expected.push_back(sum);
        const double least = type == KernelType::kF16 ? std::ldexp(1.0, -24) : 1e-37;
        tolerance.push_back(
            bound + (scale < 1e-3 ? static_cast<double>(8 * shape.k + 8) * 1e-38 : 0) + 2 * least);
      }
    }
  }

  void Reset() { std::memcpy(y.data(), y_before.data(), y.size() * Size(type)); }

  void Check(const std::string& what) const {
    for (int64_t i = 0; i < shape.m; ++i) {
      for (int64_t j = 0; j < shape.n; ++j) {
        ASSERT_LE(std::abs(y.Get(i * linear.ldy + j) - expected[i * shape.n + j]),
                  tolerance[i * shape.n + j])
            << what << ": row " << i << " of " << shape.m << ", column " << j << " of " << shape.n
            << ", k " << shape.k << ", got " << y.Get(i * linear.ldy + j) << ", want "
            << expected[i * shape.n + j];
      }
      for (int64_t j = shape.n; j < linear.ldy; ++j) {
        ASSERT_EQ(y.Get(i * linear.ldy + j), y_before.Get(i * linear.ldy + j))
            << what << " wrote past row " << i;
      }
    }
  }
};

// All that this CPU can run.
std::vector<PackedLinearVariant> Variants() { return PackedLinearVariants(Cpu()); }

constexpr WeightType kFloats[] = {WeightType::kF32, WeightType::kBF16, WeightType::kF16};
constexpr KernelType kTypes[] = {KernelType::kF32, KernelType::kBF16, KernelType::kF16};

// Every variant that takes it, each on all threads.
void RunAll(Problem& problem) {
  for (const PackedLinearVariant& variant : Variants()) {
    if (!variant.takes(problem.linear.format, problem.type)) continue;
    problem.Reset();
    RunPackedLinears({&problem.linear, 1}, {&variant, 1});
    problem.Check(variant.name);
  }
}

TEST(PackedLinearTest, EveryVariantAgreesWithFp64AtFewRows) {
  std::string ran;
  for (const auto& variant : Variants()) ran += " " + variant.name;
  std::cout << "variants run:" << ran << "\n";
  for (const WeightType weights : kFloats) {
    for (const KernelType type : kTypes) {
      for (int64_t m = 1; m <= 33; ++m) {
        Problem problem(weights, type,
                        {m, 64 + m * 5 % 71, 30 + m * 7 % 45, m % 2 == 0, m % 3 == 0},
                        static_cast<int>(m));
        RunAll(problem);
      }
    }
  }
}

TEST(PackedLinearTest, EveryVariantAgreesWithFp64AtOddSizes) {
  for (const WeightType weights : kFloats) {
    for (const KernelType type : kTypes) {
      for (const Shape& shape : std::vector<Shape>{{1, 1, 1},
                                                   {1, 63, 1025, false, false},
                                                   {4, 65, 511, true, true, true},
                                                   {5, 31, 2050, false, true},
                                                   {6, 257, 3, true, false},
                                                   {70, 100, 129, true, true, true},
                                                   {301, 70, 300, true, true}}) {
        Problem problem(weights, type, shape, 1);
        RunAll(problem);
      }
      for (int64_t k = 1; k <= 20; ++k) {
        Problem problem(weights, type, {3, 34, k}, static_cast<int>(k));
        RunAll(problem);
      }
    }
  }
}

TEST(PackedLinearTest, DenormalsAreSmallNumbersOrZero) {
  for (const WeightType weights : kFloats) {
    Problem problem(weights, KernelType::kF32, {9, 70, 50}, 1, 1e-39f);
    RunAll(problem);
    Problem narrow(weights, KernelType::kBF16, {2, 70, 50}, 2, 1e-39f);
    RunAll(narrow);
    Problem half(weights, KernelType::kF16, {7, 70, 50}, 3, 1e-6f);
    RunAll(half);
  }
}

TEST(PackedLinearTest, InfinitiesAndNaNsComeThrough) {
  for (const WeightType weights : kFloats) {
    for (const int64_t m : {1, 3, 40}) {
      Problem problem(weights, KernelType::kBF16, {m, 70, 40}, 1);
      problem.x.Set(7, std::numeric_limits<float>::infinity());
      if (m > 1) problem.x.Set(43 + 8, std::numeric_limits<float>::quiet_NaN());
      for (const PackedLinearVariant& variant : Variants()) {
        if (!variant.takes(problem.linear.format, problem.type)) continue;
        RunPackedLinears({&problem.linear, 1}, {&variant, 1});
        for (int64_t j = 0; j < 70; ++j) {
          EXPECT_TRUE(std::isinf(problem.y.Get(j))) << variant.name;
          if (m > 1) {
            EXPECT_TRUE(std::isnan(problem.y.Get(77 + j))) << variant.name;
          }
          if (m > 2) {
            EXPECT_TRUE(std::isfinite(problem.y.Get(2 * 77 + j))) << variant.name;
          }
        }
      }
    }
  }
}

// Columns may begin inside a panel, and rows anywhere.
TEST(PackedLinearTest, AnyPartsOfYMakeTheSameWhole) {
  for (const WeightType weights : kFloats) {
    for (const int64_t m : {1, 21, 90}) {
      Problem problem(weights, KernelType::kBF16, {m, 230, 77}, 1);
      for (const PackedLinearVariant& variant : Variants()) {
        if (!variant.takes(problem.linear.format, problem.type)) continue;
        problem.Reset();
        const int64_t bytes = variant.row_bytes(problem.linear.format, 77);
        std::unique_ptr<char, Free> rows(
            static_cast<char*>(::operator new (m* bytes, std::align_val_t{64})));
        const int64_t middle = m / 3;
        for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, middle}, {middle, m}}) {
          if (begin == end) continue;
          variant.convert(problem.linear, begin, end, rows.get());
          for (const auto& [first, last] :
               {std::pair<int64_t, int64_t>{0, 32}, {32, 192}, {192, 230}}) {
            variant.run(problem.linear, rows.get(), {begin, end, first, last});
          }
        }
        problem.Check(variant.name);
      }
    }
  }
}

TEST(PackedLinearTest, InvariantVariantsGiveARowTheSameBitsAmongAnyOthers) {
  const int64_t m = 45, n = 103, k = 700;
  for (const WeightType weights : kFloats) {
    for (const KernelType type : kTypes) {
      Problem all(weights, type, {m, n, k}, 1);
      for (const PackedLinearVariant& variant : Variants()) {
        if (!variant.invariant || !variant.takes(all.linear.format, type)) continue;
        RunPackedLinears({&all.linear, 1}, {&variant, 1});
        for (const int64_t first : {0, 7, 20}) {
          for (const int64_t rows : {1, 2, 3, 5, 7, 16, 25}) {
            if (first + rows > m) continue;
            Numbers y(type, rows * n);
            PackedLinear few = all.linear;
            few.m = rows;
            few.x = static_cast<const char*>(few.x) + first * few.ldx * Size(type);
            few.residual = static_cast<const char*>(few.residual) + first * few.ldr * Size(type);
            few.y = y.data(), few.ldy = n;
            RunPackedLinears({&few, 1}, {&variant, 1});
            for (int64_t i = 0; i < rows; ++i) {
              for (int64_t j = 0; j < n; ++j) {
                ASSERT_EQ(y.Get(i * n + j), all.y.Get((first + i) * all.linear.ldy + j))
                    << variant.name << ", row " << first + i << " in " << rows << ", column " << j;
              }
            }
          }
        }
      }
    }
  }
}

TEST(PackedLinearTest, LinearsOfOneInputRunInOneCall) {
  for (const KernelType type : kTypes) {
    for (const int64_t m : {1, 5, 65}) {
      Problem q(WeightType::kBF16, type, {m, 150, 96, true, false}, 1);
      Problem k(WeightType::kBF16, type, {m, 33, 96, true, true}, 2);
      Problem v(WeightType::kF32, type, {m, 64, 96, false, true, true}, 3);
      for (Problem* other : {&k, &v}) {
        other->x = q.x;
        other->linear.x = q.linear.x;
        other->expected.clear();
        other->tolerance.clear();
        other->Expect(1);
      }
      RunPackedLinears({q.linear, k.linear, v.linear});
      q.Check("q");
      k.Check("k");
      v.Check("v");
    }
  }
}

// What the busiest thread has to do, beside an equal share.
double Imbalance(const PackedLinearGrid& grid, int64_t m, int64_t pieces, int64_t threads) {
  const auto ceil = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  return static_cast<double>(ceil(m, grid.rows) * ceil(pieces, grid.columns) * threads) /
         static_cast<double>(m * pieces);
}

TEST(PackedLinearTest, ManyRowsKeepAllThreadsBusy) {
  for (const int64_t n : {576, 896, 1152, 2048, 9728, 151936}) {
    for (int64_t threads = 2; threads <= 64; threads += threads < 8 ? 1 : 8) {
      for (const int64_t m : {128, 512}) {
        const int64_t pieces = (n + kSplit - 1) / kSplit;
        const PackedLinearGrid grid = DividePackedLinears(m, pieces, threads);
        EXPECT_LE(grid.rows * grid.columns, threads);
        EXPECT_LE(Imbalance(grid, m, pieces, threads), 1.25)
            << n << " outputs, " << m << " rows, " << threads << " threads: " << grid.rows << " x "
            << grid.columns;
      }
    }
  }
}

TEST(PackedLinearTest, OneRowAndManyColumnsAreDividedByColumns) {
  EXPECT_EQ(DividePackedLinears(1, 4, 64).columns, 4);
  EXPECT_EQ(DividePackedLinears(1, 4748, 64).columns, 64);
  EXPECT_EQ(DividePackedLinears(64, 4748, 32).columns, 32);
  EXPECT_EQ(DividePackedLinears(1, 18, 2).columns, 2);
}

TEST(PackedLinearTest, PackingRoundsToTheFormatAndPadsWithZeros) {
  const int64_t n = 70, k = 9;
  Numbers w(KernelType::kF32, n * k);
  for (int64_t i = 0; i < w.size(); ++i) w.Set(i, 1.0f + static_cast<float>(i) / 777);
  for (const WeightType weights : kFloats) {
    const PackedFormat format = {.weights = weights};
    const int64_t bytes = PanelBytes(format, k);
    EXPECT_EQ(bytes % 64, 0);
    std::vector<char> packed(2 * bytes, '\xff');
    PackPanels(format, {KernelType::kF32, w.data(), n, k, k}, 1, 2, packed.data());
    PackPanels(format, {KernelType::kF32, w.data(), n, k, k}, 0, 1, packed.data());
    std::vector<float> panel(kPanel * k);
    Numbers rounded(Problem::Stored(weights), 1);
    for (int64_t p = 0; p < 2; ++p) {
      UnpackPanel(format, k, packed.data() + p * bytes, panel.data());
      for (int64_t c = 0; c < kPanel; ++c) {
        for (int64_t i = 0; i < k; ++i) {
          const int64_t row = p * kPanel + c;
          rounded.Set(0, row < n ? w.Get(row * k + i) : 0.0f);
          ASSERT_EQ(panel[c * k + i], rounded.Get(0)) << row << " " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace keel

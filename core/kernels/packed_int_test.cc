// Packed linears with weights of integers.
#include <algorithm>
#include <array>
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
#include "core/kernels/packed_linear.h"
#include "core/kernels/packed_linear_variants.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

std::vector<PackedFormat> Formats() {
  std::vector<PackedFormat> formats;
  for (const int64_t group : {32, 64, 128}) {
    formats.push_back({WeightType::kInt8, group, false});
    formats.push_back({WeightType::kInt8, group, true});
    formats.push_back({WeightType::kInt4, group, false});
  }
  return formats;
}

std::string Name(const PackedFormat& format) {
  const std::string name = format.weights == WeightType::kInt4 ? "int4"
                           : format.int8_activations           ? "w8a8"
                                                               : "int8";
  return name + " by " + std::to_string(format.group);
}

// Those that make the same bits.
std::vector<PackedLinearVariant> VariantsFor(const PackedFormat& format, KernelType type) {
  std::vector<PackedLinearVariant> variants = PackedLinearVariants(Cpu());
  std::erase_if(variants, [&](const auto& variant) {
    return !variant.invariant || !variant.takes(format, type);
  });
  return variants;
}

struct Free {
  void operator()(char* p) const { ::operator delete (p, std::align_val_t{64}); }
};

// One linear in fp32 or bf16, and what it is computed from. Rows lie farther apart than they are long; what is between
// must not count.
struct Problem {
  int64_t m, n, k;
  PackedFormat format;
  std::vector<float> x, y, w;  // w as unpacked: [n, k]
  std::vector<uint16_t> x_bf16, y_bf16;
  std::unique_ptr<char, Free> packed;
  PackedLinear linear;

  Problem(const PackedFormat& format, int64_t m, int64_t n, int64_t k, int seed)
      : m(m), n(n), k(k), format(format), x(m * (k + 3)), y(m * (n + 7)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (int64_t i = 0; i < m * (k + 3); ++i) {
      // Some inputs are much greater than others, as those of language models.
      x[i] = i % (k + 3) < k ? normal(random) * (i % 37 == 5 ? 30.0f : 1.0f) : nan;
    }
    std::vector<float> plain(n * (k + 5), nan);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < k; ++j) plain[i * (k + 5) + j] = 0.02f * normal(random);
    }
    const int64_t bytes = PanelBytes(format, k);
    packed.reset(static_cast<char*>(::operator new (Panels(n) * bytes, std::align_val_t{64})));
    std::memset(packed.get(), 0xff, Panels(n) * bytes);
    PackPanels(format, {KernelType::kF32, plain.data(), n, k, k + 5}, 0, Panels(n), packed.get());
    w.resize(Panels(n) * kPanel * k);
    for (int64_t p = 0; p < Panels(n); ++p) {
      UnpackPanel(format, k, packed.get() + p * bytes, w.data() + p * kPanel * k);
    }
    linear = {.format = format, .n = n, .k = k, .weights = packed.get(), .m = m};
    linear.x = x.data(), linear.y = y.data();
    linear.ldx = k + 3, linear.ldy = n + 7;
  }

  void UseBf16() {
    for (const float value : x) x_bf16.push_back(lanes::BF16::Store(value));
    for (size_t i = 0; i < x.size(); ++i) x[i] = lanes::BF16::Load(&x_bf16[i]);
    y_bf16.resize(y.size());
    linear.type = KernelType::kBF16;
    linear.x = x_bf16.data(), linear.y = y_bf16.data();
  }

  // What all variants have to make, in fp64 but for the scales of x: from rows that are quantized as packed_linear.h
  // says.
  void Expect(std::vector<double>* expected, std::vector<double>* magnitudes) const {
    const float max = format.weights == WeightType::kInt8 && !format.int8_activations ? 32512 : 127;
    std::vector<double> q(k);
    for (int64_t i = 0; i < m; ++i) {
      const float* row = x.data() + i * (k + 3);
      for (int64_t begin = 0; begin < k; begin += format.group) {
        const int64_t end = std::min(begin + format.group, k);
        float greatest = 0;
        for (int64_t j = begin; j < end; ++j) greatest = std::max(greatest, std::abs(row[j]));
        const float scale = greatest / max, inverse = max / greatest;
        for (int64_t j = begin; j < end; ++j) {
          q[j] = double{scale} * std::nearbyint(row[j] * inverse);
        }
      }
      for (int64_t c = 0; c < n; ++c) {
        double sum = 0, magnitude = 0;
        for (int64_t j = 0; j < k; ++j) {
          sum += q[j] * w[c * k + j];
          magnitude += std::abs(q[j] * w[c * k + j]);
        }
        expected->push_back(sum);
        magnitudes->push_back(magnitude);
      }
    }
  }

  void Check(const std::string& what) const {
    std::vector<double> expected, magnitudes;
    Expect(&expected, &magnitudes);
    // A dot product, its scaling and its sum round once each in every group.
    const double step = 3 * static_cast<double>((k + format.group - 1) / format.group) / (1 << 24);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < n; ++c) {
        ASSERT_NEAR(y[i * (n + 7) + c], expected[i * n + c], magnitudes[i * n + c] * step + 1e-30)
            << what << ": row " << i << " of " << m << ", column " << c << " of " << n << ", k "
            << k;
      }
    }
  }
};

// Each variant's bytes of y, which are to be the same.
void RunAll(Problem& problem) {
  std::vector<float> first;
  for (const auto& variant : VariantsFor(problem.format, problem.linear.type)) {
    const std::string what = variant.name + " " + Name(problem.format);
    std::fill(problem.y.begin(), problem.y.end(), -7.0f);
    RunPackedLinears({&problem.linear, 1}, {&variant, 1});
    if (first.empty()) {
      problem.Check(what);
      first = problem.y;
      for (int64_t i = 0; i < problem.m; ++i) {
        for (int64_t c = problem.n; c < problem.n + 7; ++c) {
          ASSERT_EQ(problem.y[i * (problem.n + 7) + c], -7.0f) << what << " wrote past a row";
        }
      }
    }
    ASSERT_EQ(std::memcmp(first.data(), problem.y.data(), first.size() * sizeof(float)), 0)
        << what << ", m " << problem.m << ", n " << problem.n << ", k " << problem.k;
  }
}

TEST(PackedIntTest, VariantsAgreeWithFp64AndBitForBitWithEachOtherAtFewRows) {
  std::string ran;
  for (const auto& variant : VariantsFor(Formats()[0], KernelType::kF32)) ran += " " + variant.name;
  std::cout << "variants run:" << ran << "\n";
  for (const PackedFormat& format : Formats()) {
    for (int64_t m = 1; m <= 33; ++m) {
      Problem problem(format, m, 50 + m * 5 % 71, 90 + m * 7 % 145, static_cast<int>(m));
      RunAll(problem);
    }
  }
}

TEST(PackedIntTest, VariantsAgreeAtOddSizes) {
  for (const PackedFormat& format : Formats()) {
    for (const auto& [m, n, k] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
             {1, 1, 1}, {2, 63, 1025}, {300, 70, 130}, {5, 129, 896}, {49, 33, 257}}) {
      Problem problem(format, m, n, k, 1);
      RunAll(problem);
    }
    for (int64_t k = 1; k <= 40; ++k) {
      Problem problem(format, 2, 34, k, static_cast<int>(k));
      RunAll(problem);
    }
  }
}

// With other rows beside it, on other threads, or in another part of y, a row comes out the same.
TEST(PackedIntTest, ARowDoesNotDependOnWhatElseIsComputed) {
  for (const PackedFormat& format : Formats()) {
    Problem problem(format, 21, 230, 300, 1);
    for (const auto& variant : VariantsFor(format, KernelType::kF32)) {
      RunPackedLinears({&problem.linear, 1}, {&variant, 1});
      const std::vector<float> whole = problem.y;
      const int64_t bytes = variant.row_bytes(format, problem.k);
      std::unique_ptr<char, Free> rows(
          static_cast<char*>(::operator new (21 * bytes, std::align_val_t{64})));
      std::fill(problem.y.begin(), problem.y.end(), 0.0f);
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 9}, {9, 21}}) {
        std::memset(rows.get(), 0xff, 21 * bytes);
        variant.convert(problem.linear, begin, end, rows.get());
        for (const auto& [first, last] :
             {std::pair<int64_t, int64_t>{0, 32}, {32, 64}, {64, 160}, {160, 230}}) {
          variant.run(problem.linear, rows.get(), {begin, end, first, last});
        }
      }
      for (int64_t i = 0; i < 21; ++i) {
        ASSERT_EQ(std::memcmp(&problem.y[i * 237], &whole[i * 237], 230 * sizeof(float)), 0)
            << variant.name << " " << Name(format) << " row " << i;
      }
    }
  }
}

// What is lost of x without int8_activations: half a step of 2 * 32512 in the range of its group.
TEST(PackedIntTest, Int8WeightsMeetInputsOf16Bits) {
  for (const int64_t group : {32, 64, 128}) {
    Problem problem({WeightType::kInt8, group, false}, 3, 64, 1000, 1);
    problem.UseBf16();
    problem.linear.type = KernelType::kF32;
    problem.linear.x = problem.x.data(), problem.linear.y = problem.y.data();
    RunPackedLinear(problem.linear);
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t c = 0; c < 64; ++c) {
        double sum = 0, lost = 1e-4;
        for (int64_t begin = 0; begin < 1000; begin += group) {
          float greatest = 0;
          double weights = 0;
          for (int64_t j = begin; j < std::min<int64_t>(begin + group, 1000); ++j) {
            const float x = problem.x[i * 1003 + j], w = problem.w[c * 1000 + j];
            greatest = std::max(greatest, std::abs(x));
            weights += std::abs(w);
            sum += double{x} * w;
          }
          lost += weights * greatest / 32512 / 2;
        }
        EXPECT_NEAR(problem.y[i * 71 + c], sum, lost);
      }
    }
  }
}

TEST(PackedIntTest, StoresBf16WithBiasAndResidual) {
  for (const PackedFormat& format : Formats()) {
    Problem problem(format, 7, 70, 100, 1);
    problem.UseBf16();
    std::vector<float> bias(70);
    for (int i = 0; i < 70; ++i) bias[i] = static_cast<float>(i) / 7;
    std::vector<uint16_t> residual(7 * 70, lanes::BF16::Store(3.0f));
    problem.linear.bias = bias.data();
    problem.linear.residual = residual.data(), problem.linear.ldr = 70;
    std::vector<double> expected, magnitudes;
    problem.Expect(&expected, &magnitudes);
    for (const auto& variant : VariantsFor(format, KernelType::kBF16)) {
      RunPackedLinears({&problem.linear, 1}, {&variant, 1});
      for (int64_t i = 0; i < 7; ++i) {
        for (int64_t c = 0; c < 70; ++c) {
          const double sum = expected[i * 70 + c] + bias[c];
          ASSERT_NEAR(lanes::BF16::Load(&problem.y_bf16[i * 77 + c]), sum + 3,
                      (std::abs(sum) + std::abs(sum + 3)) / 256 + 1e-5)
              << variant.name;
        }
      }
    }
  }
}

// Tiles take x as it is, and weights rounded to bf16.
TEST(PackedIntTest, TilesAgreeWithFp64) {
  std::vector<PackedLinearVariant> variants = PackedLinearVariants(Cpu());
  std::erase_if(variants, [](const auto& variant) { return variant.name != "amx_int"; });
  if (variants.empty()) GTEST_SKIP() << "no AMX";
  for (const PackedFormat& format : Formats()) {
    for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{1, 64, 32},
                                                                     {32, 70, 100},
                                                                     {33, 129, 31},
                                                                     {47, 32, 1000},
                                                                     {130, 96, 513},
                                                                     {600, 40, 65}}) {
      Problem problem(format, m, n, k, static_cast<int>(m));
      problem.UseBf16();
      RunPackedLinears({&problem.linear, 1}, variants);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t c = 0; c < n; ++c) {
          double sum = 0, magnitude = 0;
          for (int64_t j = 0; j < k; ++j) {
            const double product = double{problem.x[i * (k + 3) + j]} * problem.w[c * k + j];
            sum += product;
            magnitude += std::abs(product);
          }
          const double lost = magnitude * (1.0 / 256 + static_cast<double>(2 * k) / (1 << 24)) +
                              std::abs(sum) / 256;
          ASSERT_NEAR(lanes::BF16::Load(&problem.y_bf16[i * (n + 7) + c]), sum, lost + 1e-30)
              << Name(format) << ": row " << i << " of " << m << ", column " << c << " of " << n
              << ", k " << k;
        }
      }
    }
  }
}

TEST(PackedIntTest, WhatIsNoNumberStaysInItsRow) {
  for (const PackedFormat& format : Formats()) {
    for (const auto& variant : VariantsFor(format, KernelType::kF32)) {
      Problem problem(format, 5, 70, 200, 1);
      problem.x[7] = std::numeric_limits<float>::infinity();
      problem.x[203 + 150] = std::numeric_limits<float>::quiet_NaN();
      RunPackedLinears({&problem.linear, 1}, {&variant, 1});
      for (int64_t c = 0; c < 70; ++c) {
        EXPECT_TRUE(std::isnan(problem.y[c])) << variant.name;
        EXPECT_TRUE(std::isnan(problem.y[77 + c])) << variant.name;
        EXPECT_TRUE(std::isfinite(problem.y[2 * 77 + c])) << variant.name;
      }
    }
  }
}

TEST(PackedIntTest, ZerosAndNextToNothingMakeZeros) {
  for (const PackedFormat& format : Formats()) {
    for (const auto& variant : VariantsFor(format, KernelType::kF32)) {
      Problem problem(format, 2, 64, 70, 1);
      std::fill(problem.x.begin(), problem.x.begin() + 70, 0.0f);
      std::fill(problem.x.begin() + 73, problem.x.begin() + 143, 1e-40f);
      RunPackedLinears({&problem.linear, 1}, {&variant, 1});
      for (int64_t c = 0; c < 64; ++c) {
        EXPECT_EQ(problem.y[c], 0.0f) << variant.name;
        EXPECT_EQ(problem.y[71 + c], 0.0f) << variant.name;
      }
    }
  }
}

}  // namespace
}  // namespace keel

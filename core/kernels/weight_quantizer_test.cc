#include "core/kernels/weight_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/kernels/packed_linear.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

struct Weights {
  std::string name;
  std::vector<float> w;
};

std::vector<Weights> Samples() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> student(4);
  std::exponential_distribution<float> exponential;
  std::vector<Weights> samples = {
      {"normal", {}}, {"student t(4)", {}}, {"laplace", {}}, {"uniform", {}}};
  for (int i = 0; i < 64 * 1024; ++i) {
    samples[0].w.push_back(0.02f * normal(random));
    samples[1].w.push_back(0.02f * student(random));
    samples[2].w.push_back((random() % 2 ? 0.02f : -0.02f) * exponential(random));
    samples[3].w.push_back(0.04f * (static_cast<float>(random() % 65536) / 65536 - 0.5f));
  }
  return samples;
}

// What llama.cpp's formats make of 32 weights: a scale in fp16 and, of q8_0, the nearest of its multiples in -127 ..
// 127; of q4_0, in -8 .. 7, where -8 is the weight farthest from zero.
void Q8_0(const float* w, float* out) {
  float greatest = 0;
  for (int i = 0; i < 32; ++i) greatest = std::max(greatest, std::abs(w[i]));
  const float scale = greatest / 127, inverse = scale == 0 ? 0 : 1 / scale;
  const float stored = static_cast<_Float16>(scale);
  for (int i = 0; i < 32; ++i) out[i] = std::round(w[i] * inverse) * stored;
}
void Q4_0(const float* w, float* out) {
  float farthest = 0;
  for (int i = 0; i < 32; ++i) {
    if (std::abs(w[i]) > std::abs(farthest)) farthest = w[i];
  }
  const float scale = farthest / -8, inverse = scale == 0 ? 0 : 1 / scale;
  const float stored = static_cast<_Float16>(scale);
  for (int i = 0; i < 32; ++i) {
    const int code = std::min(15, static_cast<int>(w[i] * inverse + 8.5f));
    out[i] = static_cast<float>(code - 8) * stored;
  }
}

// Over the mean square of the weights.
double RelativeError(const std::vector<float>& w, const std::vector<float>& stored) {
  double error = 0, square = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    error += std::pow(double{w[i]} - stored[i], 2);
    square += std::pow(double{w[i]}, 2);
  }
  return error / square;
}

double TheirError(const std::vector<float>& w, void (*quantize)(const float*, float*)) {
  std::vector<float> stored(w.size());
  for (size_t i = 0; i < w.size(); i += 32) quantize(&w[i], &stored[i]);
  return RelativeError(w, stored);
}

// Packed and unpacked, 64 rows of 1024.
double OurError(const std::vector<float>& w, const PackedFormat& format) {
  std::vector<char> packed(PanelBytes(format, 1024));
  PackPanels(format, {KernelType::kF32, w.data(), 64, 1024, 1024}, 0, 1, packed.data());
  std::vector<float> stored(w.size());
  UnpackPanel(format, 1024, packed.data(), stored.data());
  return RelativeError(w, stored);
}

double BitsAWeight(const PackedFormat& format) {
  return 8.0 * static_cast<double>(PanelBytes(format, 1024)) / (64 * 1024);
}

TEST(WeightQuantizerTest, Int4HasLessErrorThanQ4_0AtItsSizeAndAtLess) {
  for (const auto& [name, w] : Samples()) {
    const double theirs = TheirError(w, Q4_0);
    std::printf("%-13s q4_0 %.5f", name.c_str(), theirs);
    for (const int64_t group : {32, 64, 128}) {
      const PackedFormat format = {WeightType::kInt4, group};
      const double ours = OurError(w, format);
      std::printf("   int4 by %3ld %.5f (%.2f, %.3f bits)", group, ours, ours / theirs,
                  BitsAWeight(format));
      if (group == 32) {
        EXPECT_LE(BitsAWeight(format), 4.5);
        EXPECT_LT(ours, (name == "uniform" ? 1.2 : 0.85) * theirs) << name;
      }
      if (group == 64 && name != "uniform") {
        EXPECT_LT(ours, theirs) << name;
      }
    }
    std::printf("\n");
  }
}

TEST(WeightQuantizerTest, Int8HasNoMoreErrorThanQ8_0AtItsSize) {
  for (const auto& [name, w] : Samples()) {
    const double theirs = TheirError(w, Q8_0);
    std::printf("%-13s q8_0 %.3e", name.c_str(), theirs);
    for (const int64_t group : {32, 64, 128}) {
      const PackedFormat format = {WeightType::kInt8, group};
      const double ours = OurError(w, format);
      std::printf("   int8 by %3ld %.3e (%.2f, %.3f bits)", group, ours, ours / theirs,
                  BitsAWeight(format));
      if (group == 32) {
        EXPECT_LE(BitsAWeight(format), 8.5);
        EXPECT_LE(ours, theirs) << name;
      }
    }
    std::printf("\n");
  }
}

// Of every type that a checkpoint has: what is quantized is the number, whatever it was stored as.
TEST(WeightQuantizerTest, TheTypeOfPlainWeightsDoesNotCount) {
  std::vector<uint16_t> bf16(70 * 100);
  std::vector<_Float16> f16(bf16.size());
  std::vector<float> f32(bf16.size());
  for (size_t i = 0; i < bf16.size(); ++i) {
    const float w = static_cast<float>(static_cast<int>(i * 37 % 255) - 127) / 64;
    bf16[i] = lanes::BF16::Store(w), f16[i] = static_cast<_Float16>(w), f32[i] = w;
  }
  for (const PackedFormat& format :
       {PackedFormat{WeightType::kInt8, 64}, PackedFormat{WeightType::kInt4, 32}}) {
    const int64_t bytes = PanelBytes(format, 100);
    EXPECT_EQ(bytes % 64, 0);
    std::vector<std::vector<char>> packed;
    for (const PlainWeights& plain : {PlainWeights{KernelType::kF32, f32.data(), 70, 100, 100},
                                      PlainWeights{KernelType::kBF16, bf16.data(), 70, 100, 100},
                                      PlainWeights{KernelType::kF16, f16.data(), 70, 100, 100}}) {
      packed.emplace_back(2 * bytes, '\xff');
      PackPanels(format, plain, 1, 2, packed.back().data());
      PackPanels(format, plain, 0, 1, packed.back().data());
    }
    EXPECT_EQ(packed[0], packed[1]);
    EXPECT_EQ(packed[0], packed[2]);
    std::vector<float> panel(64 * 100);
    UnpackPanel(format, 100, packed[0].data() + bytes, panel.data());
    for (int64_t i = 6 * 100; i < 6400; ++i) ASSERT_EQ(panel[i], 0.0f) << "past the last output";
  }
}

TEST(WeightQuantizerTest, ZerosAreZerosAndWhatIsNoNumberIsNone) {
  const uint8_t levels[16] = {0, 8, 13, 17, 21, 24, 27, 30, 32, 34, 37, 40, 43, 47, 52, 58};
  float w[32] = {};
  uint8_t codes[32];
  EXPECT_EQ(static_cast<float>(QuantizeInt8Group(w, 32, codes)), 0.0f);
  EXPECT_EQ(codes[31], 128);
  EXPECT_EQ(static_cast<float>(QuantizeInt4Group(w, 32, levels, 32, codes)), 0.0f);
  EXPECT_EQ(levels[codes[31]], 32);
  w[3] = 1e-12f;  // below what a scale of fp16 can say
  EXPECT_EQ(static_cast<float>(QuantizeInt4Group(w, 32, levels, 32, codes)), 0.0f);
  w[3] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(static_cast<float>(QuantizeInt8Group(w, 32, codes))));
  w[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(static_cast<float>(QuantizeInt4Group(w, 32, levels, 32, codes))));
}

}  // namespace
}  // namespace keel

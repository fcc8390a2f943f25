// Expected numbers are those of torch.stft(samples, 400, 160, window=window, return_complex=True).abs() ** 2.
#include "core/processor/power_spectrum.h"

#include <cmath>
#include <cstdlib>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kFft = 400, kHop = 160, kBins = kFft / 2 + 1;

std::vector<float> Samples(int64_t n) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i)
    out.push_back(static_cast<float>((i * i * 7 + i * 3) % 101 - 50) / 64);
  return out;
}

std::vector<float> Triangle() {
  std::vector<float> out;
  for (int64_t i = 0; i < kFft; ++i)
    out.push_back(1 - static_cast<float>(std::abs(i - kFft / 2)) / (kFft / 2));
  return out;
}

struct Spectrum {
  explicit Spectrum(int64_t frames)
      : shape{frames, kBins}, strides{kBins, 1}, values(static_cast<size_t>(frames * kBins), -1) {
    tensor.data = values.data();
    tensor.device = {1, 0};
    tensor.ndim = 2;
    tensor.dtype = {2, 32, 1};
    tensor.shape = shape;
    tensor.strides = strides;
  }
  float at(int64_t frame, int64_t bin) const {
    return values[static_cast<size_t>(frame * kBins + bin)];
  }
  int64_t shape[2], strides[2];
  std::vector<float> values;
  keel_dl_tensor tensor = {};
};

struct Value {
  int64_t frame, bin;
  float value;
};

// Each processor's FFT rounds in its own way, every bin by what the whole frame is like: a frame here has a norm of 5,
// which 9 levels round to 2e-6 of an amplitude on average.
void ExpectValues(const Spectrum& spectrum, const std::vector<Value>& values) {
  constexpr float kAmplitudeError = 6e-6f;
  for (const Value& v : values) {
    EXPECT_NEAR(spectrum.at(v.frame, v.bin), v.value,
                (2 * std::sqrt(v.value) + kAmplitudeError) * kAmplitudeError)
        << v.frame << ", " << v.bin;
  }
}

TEST(PowerSpectrumTest, IsTorchs) {
  Spectrum spectrum(32);
  KEEL_ASSERT_OK(PowerSpectrum(Samples(5003), Triangle(), kHop, spectrum.tensor));
  ExpectValues(spectrum, {{0, 0, 89.6424332f},
                          {0, 1, 21.5347404f},
                          {0, 200, 5.83297682f},
                          {1, 7, 1.79343748f},
                          {5, 50, 3.13684011f},
                          {16, 100, 0.068389751f},
                          {30, 3, 23.2625713f},
                          {31, 0, 83.5438766f},
                          {31, 77, 2.06246924f},
                          {31, 200, 33.7551956f}});
}

TEST(PowerSpectrumTest, ALongSoundIsTakenInParts) {
  Spectrum spectrum(2101);
  KEEL_ASSERT_OK(PowerSpectrum(Samples(kHop * 2100 + 11), Triangle(), kHop, spectrum.tensor));
  ExpectValues(spectrum, {{1023, 9, 0.142391354f},
                          {1024, 9, 0.822043955f},
                          {2048, 9, 0.468714446f},
                          {2100, 9, 7.17751551f}});
}

TEST(PowerSpectrumTest, RefusesSizesThatHaveNoSpectrum) {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  Spectrum spectrum(3);
  const std::vector<float> window = Triangle();
  KEEL_EXPECT_OK(PowerSpectrum(Samples(400), window, kHop, spectrum.tensor));
  EXPECT_THAT(PowerSpectrum(Samples(200), window, kHop, spectrum.tensor),
              StatusIs(kInvalid, HasSubstr("200 samples, n_fft 400, hop 160, expected")));
  EXPECT_THAT(PowerSpectrum(Samples(400), window, 0, spectrum.tensor),
              StatusIs(kInvalid, HasSubstr("hop 0, expected")));
  EXPECT_THAT(PowerSpectrum(Samples(400), {window.data(), 399}, kHop, spectrum.tensor),
              StatusIs(kInvalid, HasSubstr("an even n_fft")));
  EXPECT_THAT(PowerSpectrum(Samples(560), window, kHop, spectrum.tensor),
              StatusIs(kInvalid, HasSubstr("the result is not F32 [4, 201]")));
  spectrum.tensor.dtype = {2, 16, 1};
  EXPECT_THAT(PowerSpectrum(Samples(400), window, kHop, spectrum.tensor),
              StatusIs(kInvalid, HasSubstr("not F32 [3, 201]")));
}

}  // namespace
}  // namespace keel

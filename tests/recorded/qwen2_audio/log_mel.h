// Log-mel spectrograms as transformers' WhisperFeatureExtractor makes them. A plain discrete Fourier transform: a
// reference, not a fast one.
#ifndef KEEL_TESTS_RECORDED_QWEN2_AUDIO_LOG_MEL_H_
#define KEEL_TESTS_RECORDED_QWEN2_AUDIO_LOG_MEL_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace keel {

class LogMel {
 public:
  // `n_fft` samples a frame, a frame every `hop` samples, `bins` mel bands up to half the rate.
  LogMel(int64_t n_fft, int64_t hop, int64_t bins, double rate)
      : n_fft_(n_fft), hop_(hop), bins_(bins), frequencies_(n_fft / 2 + 1) {
    for (int64_t i = 0; i < n_fft; ++i) {
      const double angle =
          2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n_fft);
      cos_.push_back(std::cos(angle));
      sin_.push_back(std::sin(angle));
      window_.push_back(0.5 - 0.5 * cos_.back());  // Hann
    }
    MakeFilters(std::min(8000.0, rate / 2), rate);
  }

  // Writes [bins, frames]; sound beyond `frames` is cut, missing sound is silence.
  void Write(std::span<const float> samples, int64_t frames, float* out) const {
    double highest = -10;
    std::vector<double> power(static_cast<size_t>(frequencies_)),
        logs(static_cast<size_t>(bins_ * frames), -10);
    for (int64_t frame = 0; frame < frames; ++frame) {
      if (!Power(samples, frames * hop_, frame, power)) continue;  // silence
      for (int64_t bin = 0; bin < bins_; ++bin) {
        double sum = 0;
        for (int64_t f = 0; f < frequencies_; ++f)
          sum += filters_[bin * frequencies_ + f] * power[f];
        logs[bin * frames + frame] = std::log10(std::max(sum, 1e-10));
        highest = std::max(highest, logs[bin * frames + frame]);
      }
    }
    for (size_t i = 0; i < logs.size(); ++i)
      out[i] = static_cast<float>((std::max(logs[i], highest - 8) + 4) / 4);
  }

 private:
  // Slaney's scale: linear to 1 kHz, then logarithmic.
  static double ToMel(double hertz) {
    return hertz < 1000 ? hertz * 3 / 200 : 15 + std::log(hertz / 1000) * 27 / std::log(6.4);
  }
  static double ToHertz(double mel) {
    return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
  }

  // Triangles of equal area.
  void MakeFilters(double highest, double rate) {
    std::vector<double> edges;
    for (int64_t i = 0; i < bins_ + 2; ++i)
      edges.push_back(
          ToHertz(ToMel(highest) * static_cast<double>(i) / static_cast<double>(bins_ + 1)));
    for (int64_t bin = 0; bin < bins_; ++bin) {
      const double low = edges[bin], middle = edges[bin + 1], high = edges[bin + 2];
      for (int64_t f = 0; f < frequencies_; ++f) {
        const double hertz = static_cast<double>(f) * rate / static_cast<double>(n_fft_);
        const double rise = (hertz - low) / (middle - low), fall = (high - hertz) / (high - middle);
        filters_.push_back(std::max(0.0, std::min(rise, fall)) * 2 / (high - low));
      }
    }
  }

  // The power spectrum of one frame of sound padded to `length`, mirrored at both ends; false if it is all silence.
  bool Power(std::span<const float> samples, int64_t length, int64_t frame,
             std::vector<double>& power) const {
    std::vector<double> sound(static_cast<size_t>(n_fft_));
    bool heard = false;
    for (int64_t i = 0; i < n_fft_; ++i) {
      int64_t at = std::abs(frame * hop_ + i - n_fft_ / 2);
      if (at >= length) at = 2 * (length - 1) - at;
      const double sample =
          at < static_cast<int64_t>(samples.size()) ? samples[static_cast<size_t>(at)] : 0.0;
      heard |= sample != 0;
      sound[i] = sample * window_[i];
    }
    if (!heard) return false;
    for (int64_t f = 0; f < frequencies_; ++f) {
      double real = 0, imaginary = 0;
      for (int64_t i = 0; i < n_fft_; ++i) {
        const auto turn = static_cast<size_t>(f * i % n_fft_);
        real += sound[i] * cos_[turn];
        imaginary += sound[i] * sin_[turn];
      }
      power[f] = real * real + imaginary * imaginary;
    }
    return true;
  }

  const int64_t n_fft_, hop_, bins_, frequencies_;
  std::vector<double> cos_, sin_, window_;
  std::vector<double> filters_;  // [bins, frequencies]
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_QWEN2_AUDIO_LOG_MEL_H_

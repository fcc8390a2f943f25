// Log-mel spectrograms, as transformers' WhisperFeatureExtractor makes them.
//
//   #include "sdk/keel/blocks/log_mel.h"
//   using namespace keel;
//
//   std::vector<float> Features(const Assets& assets, const keel_media& sound) {
//     const LogMel log_mel(assets, /*num_mel_bins=*/128);
//     const std::span<const float> samples = SamplesOf(sound);
//     const int64_t frames = log_mel.FramesOf(sound.length);
//     std::vector<float> out(static_cast<size_t>(128 * frames));
//     log_mel.Write(samples, frames, out.data());
//     return out;
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_LOG_MEL_H_
#define KEEL_SDK_KEEL_BLOCKS_LOG_MEL_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/processor.h"

namespace keel {

inline std::span<const float> SamplesOf(const keel_media& sound) {
  const auto* data = static_cast<const char*>(sound.data->data) + sound.data->byte_offset;
  return {reinterpret_cast<const float*>(data), static_cast<size_t>(sound.data->shape[0])};
}

// Refuses other modalities, sounds of another rate than the processor said it takes, and those of no samples.
inline void CheckIsAudio(const keel_media& media, int64_t sampling_rate) {
  if (media.modality != KEEL_MODALITY_AUDIO)
    throw Error("modality " + std::to_string(media.modality) + ", expected audio");
  if (media.rate != static_cast<double>(sampling_rate))
    throw Error("audio of " + std::to_string(media.rate) + " samples a second, expected " +
                std::to_string(sampling_rate));
  if (media.length < 1) throw Error("audio has no samples");
}

class LogMel {
 public:
  // The settings are those of processor_config.json's feature_extractor, else preprocessor_config.json.
  LogMel(const Assets& assets, int64_t num_mel_bins) : assets_(assets), bins_(num_mel_bins) {
    if (const std::optional<Config> c = Settings(assets)) Read(*c);
    for (int64_t i = 0; i < n_fft_; ++i) {
      const double turn =
          2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n_fft_);
      window_.push_back(static_cast<float>(0.5 - 0.5 * std::cos(turn)));  // Hann
    }
    MakeFilters();
  }

  int64_t sampling_rate() const { return sampling_rate_; }
  int64_t hop_length() const { return hop_length_; }
  // Those that have something of so many samples.
  int64_t FramesOf(int64_t samples) const { return (samples + hop_length_ - 1) / hop_length_; }

  // Writes [bins, frames]; sound beyond `frames` is cut, missing sound is silence.
  void Write(std::span<const float> samples, int64_t frames, float* out) const {
    std::vector<float> sound(static_cast<size_t>(frames * hop_length_));
    std::copy_n(samples.begin(), std::min(samples.size(), sound.size()), sound.begin());
    const std::vector<float> power = assets_.PowerSpectrum(sound, window_, hop_length_);
    float highest = std::numeric_limits<float>::lowest();
    for (int64_t frame = 0; frame < frames; ++frame) {  // without the last, as in Whisper
      const float* row = power.data() + frame * frequencies();
      for (int64_t bin = 0; bin < bins_; ++bin) {
        const float log =
            std::log10(std::max(Sum(filters_[static_cast<size_t>(bin)], row), 1e-10f));
        highest = std::max(highest, log);
        out[bin * frames + frame] = log;
      }
    }
    for (float& value : std::span(out, static_cast<size_t>(bins_ * frames)))
      value = (std::max(value, highest - 8) + 4) / 4;
  }

 private:
  struct Filter {  // of a mel band: weights of the frequencies from `first` on
    int64_t first = 0;
    std::vector<float> weights = {};
  };

  static std::optional<Config> Settings(const Assets& assets) {
    if (const std::optional<Config> all = assets.Json("processor_config.json")) {
      if (const std::optional<Config> own = all->Child("feature_extractor")) return own;
    }
    return assets.Json("preprocessor_config.json");
  }

  void Read(const Config& c) {
    sampling_rate_ = Bounded(c, "sampling_rate", sampling_rate_, 8000, 192000);
    n_fft_ = Bounded(c, "n_fft", n_fft_, 2, 1 << 15);
    hop_length_ = Bounded(c, "hop_length", hop_length_, 1, 1 << 15);
    if (n_fft_ % 2 != 0) {
      c.Fail("n_fft", "is " + std::to_string(n_fft_) + ", expected an even number");
      n_fft_ = 2;
    }
    if (c.Int("feature_size", bins_) != bins_)
      c.Fail("feature_size",
             "is not num_mel_bins of config.json's audio_config, " + std::to_string(bins_));
    if (c.Real("dither", 0) != 0) c.Fail("dither", "is not 0, which is expected");
  }
  static int64_t Bounded(const Config& c, const char* key, int64_t dflt, int64_t least,
                         int64_t most) {
    const int64_t value = c.Int(key, dflt);
    if (value >= least && value <= most) return value;
    c.Fail(key, "is " + std::to_string(value) + ", expected " + std::to_string(least) + " to " +
                    std::to_string(most));
    return dflt;
  }

  int64_t frequencies() const { return n_fft_ / 2 + 1; }

  // Slaney's scale: linear to 1 kHz, then logarithmic.
  static double ToMel(double hertz) {
    return hertz < 1000 ? hertz * 3 / 200 : 15 + std::log(hertz / 1000) * 27 / std::log(6.4);
  }
  static double ToHertz(double mel) {
    return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
  }

  // Triangles of equal area up to 8 kHz.
  void MakeFilters() {
    const double highest = ToMel(8000), nyquist = static_cast<double>(sampling_rate_ / 2);
    const auto edge = [&](int64_t i) {
      return ToHertz(highest * static_cast<double>(i) / static_cast<double>(bins_ + 1));
    };
    for (int64_t bin = 0; bin < bins_; ++bin) {
      const double low = edge(bin), middle = edge(bin + 1), high = edge(bin + 2);
      Filter& filter = filters_.emplace_back();
      for (int64_t f = 0; f < frequencies(); ++f) {
        const double hertz = nyquist * static_cast<double>(f) / static_cast<double>(n_fft_ / 2);
        const double rise = (hertz - low) / (middle - low), fall = (high - hertz) / (high - middle);
        const double weight = std::max(0.0, std::min(rise, fall)) * 2 / (high - low);
        if (weight == 0 && filter.weights.empty()) filter.first = f + 1;
        if (weight != 0) filter.weights.push_back(static_cast<float>(weight));
      }
    }
  }

  static float Sum(const Filter& filter, const float* power) {
    float sum = 0;
    for (size_t i = 0; i < filter.weights.size(); ++i)
      sum += filter.weights[i] * power[filter.first + static_cast<int64_t>(i)];
    return sum;
  }

  const Assets assets_;
  const int64_t bins_;
  int64_t sampling_rate_ = 16000, n_fft_ = 400, hop_length_ = 160;
  std::vector<float> window_;
  std::vector<Filter> filters_;  // by band
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_LOG_MEL_H_

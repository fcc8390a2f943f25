// The processor of Qwen2-Audio, as in transformers' processing_qwen2_audio.py. It has no `expand` and no `positions`:
// the host tokenizes the replacement texts and counts positions itself.
#ifndef KEEL_TESTS_RECORDED_QWEN2_AUDIO_PROCESSING_QWEN2_AUDIO_H_
#define KEEL_TESTS_RECORDED_QWEN2_AUDIO_PROCESSING_QWEN2_AUDIO_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/plugin.h"
#include "tests/recorded/qwen2_audio/log_mel.h"

namespace keel {

class Qwen2AudioProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen2AudioProcessor"};

  Qwen2AudioProcessor(const Config& config, const Assets& assets)
      : audio_token_id_(assets.TokenId("<|AUDIO|>")) {
    const Config audio = config.Object("audio_config");
    positions_ = audio.Int("max_source_positions", 1500);
    feature_size_ = audio.Int("num_mel_bins", 128);
    if (const auto c = assets.Json("preprocessor_config.json")) {
      sampling_rate_ = c->Int("sampling_rate", sampling_rate_);
      n_fft_ = c->Int("n_fft", n_fft_);
      hop_length_ = c->Int("hop_length", hop_length_);
      if (c->Int("feature_size", feature_size_) != feature_size_)
        c->Fail("feature_size", "is not num_mel_bins of config.json's audio_config");
      if (sampling_rate_ < 1 || n_fft_ < 2 || hop_length_ < 1) {
        c->Fail("n_fft", "with sampling_rate and hop_length: expected at least 2, 1 and 1");
        n_fft_ = 2, sampling_rate_ = hop_length_ = 1;
      }
    }
    // A tokenizer that cuts the placeholder up would leave features without a place.
    if (assets.Encode("<|AUDIO|>") != std::vector<int64_t>{audio_token_id_})
      throw Error("tokenizer: makes more than one token of <|AUDIO|>, expected its id " +
                  std::to_string(audio_token_id_));
  }

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_AUDIO, "<|AUDIO|>", audio_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    if (media.modality != KEEL_MODALITY_AUDIO)
      throw Error("modality " + std::to_string(media.modality) + ", expected audio");
    if (media.rate != static_cast<double>(sampling_rate_))
      throw Error("audio at " + std::to_string(media.rate) + " Hz, expected " +
                  std::to_string(sampling_rate_));
    keel_media_count count{};
    count.patches = std::min((media.length + hop_length_ - 1) / hop_length_, 2 * positions_);
    if (count.patches < 3) throw Error("audio is shorter than one token");
    count.tokens = count.features = (Convolved(count.patches) - 2) / 2 + 1;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const auto clips = static_cast<int64_t>(items.size()), frames = 2 * positions_;
    const LogMel log_mel(n_fft_, hop_length_, feature_size_, static_cast<double>(sampling_rate_));
    float* features = inputs.F32("input_features", {clips, feature_size_, frames}).data();
    std::vector<int32_t> segments = {0};
    std::vector<int64_t> rows;
    for (int64_t clip = 0; clip < clips; ++clip) {
      const keel_media& item = items[static_cast<size_t>(clip)];
      const auto* samples = reinterpret_cast<const float*>(
          static_cast<const char*>(item.data->data) + item.data->byte_offset);
      log_mel.Write({samples, static_cast<size_t>(item.data->shape[0])}, frames,
                    features + clip * feature_size_ * frames);
      const keel_media_count count = Count(item);
      const auto begin = static_cast<int32_t>(clip * positions_);
      for (const int64_t end : {Convolved(count.patches), positions_}) {
        if (begin + end > segments.back()) segments.push_back(begin + static_cast<int32_t>(end));
      }
      for (int64_t i = 0; i < count.features; ++i) rows.push_back(begin / 2 + i);
    }
    const std::span<int32_t> to = inputs.I32("segments", {static_cast<int64_t>(segments.size())});
    std::copy(segments.begin(), segments.end(), to.begin());
    std::copy(rows.begin(), rows.end(),
              inputs.I64("rows", {static_cast<int64_t>(rows.size())}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    std::string text;
    for (int64_t i = 0; i < item.tokens; ++i) text += "<|AUDIO|>";
    return text;
  }

 private:
  // Frames after the convolutions, of which the second has a stride of 2.
  static int64_t Convolved(int64_t frames) { return (frames - 1) / 2 + 1; }

  const int64_t audio_token_id_;
  int64_t positions_, feature_size_;
  int64_t sampling_rate_ = 16000, n_fft_ = 400, hop_length_ = 160;
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_QWEN2_AUDIO_PROCESSING_QWEN2_AUDIO_H_

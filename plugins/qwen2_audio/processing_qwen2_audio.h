// The processor of Qwen2-Audio, as in transformers' processing_qwen2_audio.py: a sound is a window of 30 seconds, longer ones
// are cut, and the features of what is there are its tokens.
#ifndef KEEL_PLUGINS_QWEN2_AUDIO_PROCESSING_QWEN2_AUDIO_H_
#define KEEL_PLUGINS_QWEN2_AUDIO_PROCESSING_QWEN2_AUDIO_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sdk/keel/blocks/log_mel.h"
#include "sdk/keel/blocks/whisper.h"
#include "sdk/keel/plugin.h"

namespace keel {

class Qwen2AudioProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen2AudioProcessor"};

  Qwen2AudioProcessor(const Config& config, const Assets& assets)
      : audio_(config.Object("audio_config")),
        log_mel_(assets, audio_.num_mel_bins),
        audio_token_id_(assets.TokenId(kAudioToken)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{.modality = KEEL_MODALITY_AUDIO,
             .token = kAudioToken,
             .id = audio_token_id_,
             .sampling_rate = log_mel_.sampling_rate()}};
  }

  // patches: frames of the spectrogram that have something of the sound.
  keel_media_count Count(const keel_media& media) const {
    CheckIsAudio(media, log_mel_.sampling_rate());
    keel_media_count count{};
    count.patches = std::min(log_mel_.FramesOf(media.length), audio_.frames());
    if (count.patches < 3)
      throw Error("audio has " + std::to_string(media.length) + " samples, expected more than " +
                  std::to_string(2 * log_mel_.hop_length()) + ", which one token takes");
    count.tokens = count.features = Convolved(count.patches) / 2;
    return count;
  }

  // Rows of the convolved window: those of the sound, and of them those that are pooled, two and two.
  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const auto windows = static_cast<int64_t>(items.size());
    const int64_t size = audio_.num_mel_bins * audio_.frames();
    float* features =
        inputs.F32("input_features", {windows, audio_.num_mel_bins, audio_.frames()}).data();
    std::vector<int64_t> rows, pooled;
    std::vector<int32_t> segments = {0};
    for (int64_t i = 0; i < windows; ++i) {
      const keel_media& item = items[static_cast<size_t>(i)];
      log_mel_.Write(SamplesOf(item), audio_.frames(), features + i * size);
      const keel_media_count count = Count(item);
      Append(i * audio_.max_source_positions, Convolved(count.patches), rows);
      Append(segments.back(), 2 * count.features, pooled);
      segments.push_back(static_cast<int32_t>(rows.size()));
    }
    Put(rows, inputs.I64("rows", {static_cast<int64_t>(rows.size())}));
    Put(segments, inputs.I32("segments", {static_cast<int64_t>(segments.size())}));
    Put(pooled, inputs.I64("pooled", {static_cast<int64_t>(pooled.size())}));
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    std::string text;
    for (int64_t i = 0; i < item.tokens; ++i) text += kAudioToken;
    return text;
  }

 private:
  static constexpr const char* kAudioToken = "<|AUDIO|>";

  // Frames behind the convolution with a stride of 2.
  static int64_t Convolved(int64_t frames) { return (frames + 1) / 2; }

  static void Append(int64_t first, int64_t count, std::vector<int64_t>& to) {
    for (int64_t i = 0; i < count; ++i) to.push_back(first + i);
  }
  template <typename T>
  static void Put(const std::vector<T>& from, std::span<T> to) {
    std::copy(from.begin(), from.end(), to.begin());
  }

  const WhisperEncoderConfig audio_;
  const LogMel log_mel_;
  const int64_t audio_token_id_;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_QWEN2_AUDIO_PROCESSING_QWEN2_AUDIO_H_

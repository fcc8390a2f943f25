// The processor of Voxtral, as in transformers' processing_voxtral.py and, for its prompt, as Mistral's tokenizer lays sounds
// out: a sound is as many windows of 30 seconds as it fills, silence behind it included, and a token before them.
#ifndef KEEL_PLUGINS_VOXTRAL_PROCESSING_VOXTRAL_H_
#define KEEL_PLUGINS_VOXTRAL_PROCESSING_VOXTRAL_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/log_mel.h"
#include "sdk/keel/blocks/whisper.h"
#include "sdk/keel/plugin.h"

namespace keel {

class VoxtralProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"VoxtralProcessor"};

  VoxtralProcessor(const Config& config, const Assets& assets)
      : audio_(config.Object("audio_config")),
        log_mel_(assets, audio_.num_mel_bins),
        features_(FeaturesOfWindow(audio_, config)),
        audio_token_id_(assets.TokenId(kAudioToken)),
        begin_token_id_(assets.TokenId(kBeginToken)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{.modality = KEEL_MODALITY_AUDIO,
             .token = kAudioToken,
             .id = audio_token_id_,
             .structural = {begin_token_id_},
             .sampling_rate = log_mel_.sampling_rate()}};
  }

  // grid_t: windows.
  keel_media_count Count(const keel_media& media) const {
    CheckIsAudio(media, log_mel_.sampling_rate());
    keel_media_count count{};
    count.grid_t = (log_mel_.FramesOf(media.length) + audio_.frames() - 1) / audio_.frames();
    count.patches = count.grid_t * audio_.frames();
    count.features = count.grid_t * features_;
    count.tokens = count.features + 1;
    return count;
  }

  // The loudest of all windows bounds what is heard in each.
  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const int64_t bins = audio_.num_mel_bins, frames = audio_.frames();
    int64_t windows = 0;
    for (const keel_media& item : items) windows += Count(item).grid_t;
    float* to = inputs.F32("input_features", {windows, bins, frames}).data();
    for (const keel_media& item : items) {
      const int64_t own = Count(item).grid_t;
      std::vector<float> features(static_cast<size_t>(bins * own * frames));
      log_mel_.Write(SamplesOf(item), own * frames, features.data());
      for (int64_t window = 0; window < own; ++window) {
        for (int64_t bin = 0; bin < bins; ++bin)
          to = std::copy_n(features.data() + (bin * own + window) * frames, frames, to);
      }
    }
    int32_t begin = 0;
    for (int32_t& border : inputs.I32("segments", {windows + 1})) {
      border = begin;
      begin += static_cast<int32_t>(audio_.max_source_positions);
    }
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    std::string text = kBeginToken;
    for (int64_t i = 0; i < item.features; ++i) text += kAudioToken;
    return text;
  }

 private:
  static constexpr const char *kAudioToken = "[AUDIO]", *kBeginToken = "[BEGIN_AUDIO]";

  static int64_t FeaturesOfWindow(const WhisperEncoderConfig& audio, const Config& config) {
    const int64_t size = audio.d_model * audio.max_source_positions;
    if (audio.encoder_ffn_dim >= 1 && size % audio.encoder_ffn_dim == 0)
      return size / audio.encoder_ffn_dim;
    config.Fail("audio_config/intermediate_size", "divides no window into features");
    return 1;
  }

  const WhisperEncoderConfig audio_;
  const LogMel log_mel_;
  const int64_t features_;  // of a window
  const int64_t audio_token_id_, begin_token_id_;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_VOXTRAL_PROCESSING_VOXTRAL_H_

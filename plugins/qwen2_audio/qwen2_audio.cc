// Qwen2-Audio (arXiv:2407.10759), as in transformers' models/qwen2_audio/modeling_qwen2_audio.py: Whisper's encoder over what
// there is of a sound, pooled by two and projected, before a Qwen2 decoder.
#include "plugins/qwen2_audio/processing_qwen2_audio.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/whisper.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen2AudioConfig : TextModelConfig {
  WhisperEncoderConfig audio;
  explicit Qwen2AudioConfig(const Config& c)
      : TextModelConfig(c, "qwen2"), audio(c.Object("audio_config")) {
    tie_word_embeddings = false;  // never, whatever config.json says
  }
  Spec spec() const {
    Spec s = TextModelConfig::spec();
    s.renames = LlavaRenames();
    s.renames.push_back(
        {.from = {R"((?:model\.)?audio_tower\.(.*))"}, .to = {R"(audio_tower.\1)"}});
    // Behind the convolutions only rows of the sound go on; of them `pooled` become features, two and two.
    s.inputs = {
        audio.input_features(),
        {"audio", "rows", KEEL_I64, {-2}, {}, {KEEL_MERGE_INDICES, -1, audio.max_source_positions}},
        {"audio", "segments", KEEL_I32, {-3}, {}, {KEEL_MERGE_BORDERS}},
        {"audio", "pooled", KEEL_I64, {-4}, {2}, {KEEL_MERGE_INDICES, -2}}};
    return s;
  }
};

struct Qwen2AudioMultiModalProjector {
  Linear linear;
  Qwen2AudioMultiModalProjector(const Scope& s, const Qwen2AudioConfig& c)
      : linear(s / "linear", c.audio.d_model, c.hidden_size, true) {}
  Tensor operator()(Tensor x) const { return linear(x); }
};

struct Qwen2AudioForConditionalGeneration : DenseDecoder<Qwen2AudioConfig> {
  static constexpr const char* kModelType = "qwen2_audio";
  static constexpr const char* kArchitectures[] = {"Qwen2AudioForConditionalGeneration"};

  WhisperEncoder audio_tower;
  Qwen2AudioMultiModalProjector multi_modal_projector;
  Qwen2AudioForConditionalGeneration(const Scope& root, const Qwen2AudioConfig& c)
      : DenseDecoder(root, c),
        audio_tower(root / "audio_tower", c.audio),
        multi_modal_projector(root / "multi_modal_projector", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor input_features = in[0], rows = in[1], segments = in[2], pooled = in[3];
    const Tensor x = audio_tower.Run(audio_tower.Embed(input_features).Rows(rows), segments);
    const Tensor pairs = x.Rows(pooled).View({-1, 2, audio_tower.d_model});
    return multi_modal_projector(audio_tower.layer_norm(pairs.Mean(1)));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen2_audio", "0.1.0", keel::Qwen2AudioForConditionalGeneration,
            keel::Qwen2AudioProcessor);

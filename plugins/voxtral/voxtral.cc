// Voxtral (arXiv:2507.13264), as in transformers' models/voxtral/modeling_voxtral.py: Whisper's encoder, neighbouring rows of
// which become one, before a Llama decoder.
#include "plugins/voxtral/processing_voxtral.h"
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/whisper.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct VoxtralConfig : DenseConfig {
  WhisperEncoderConfig audio;
  uint32_t projector_hidden_act;
  bool attention_bias;
  explicit VoxtralConfig(const Config& c)
      : DenseConfig(c.Object("text_config"), {.vocab_size = 131072,
                                              .hidden_size = 3072,
                                              .intermediate_size = 8192,
                                              .num_hidden_layers = 30,
                                              .num_attention_heads = 32,
                                              .num_key_value_heads = 8,
                                              .head_dim = EqualHeads(c) ? 0 : 128,
                                              .max_position_embeddings = 131072,
                                              .rms_norm_eps = 1e-5,
                                              .rope_theta = 1e8}),
        audio(c.Object("audio_config")),
        projector_hidden_act(c.Activation("projector_hidden_act", "gelu")),
        attention_bias(c.Bool("text_config/attention_bias", false)) {
    const std::string type = c.String("text_config/model_type", "llama");
    if (type != "llama") c.Fail("text_config/model_type", "is '" + type + "', expected llama");
    if (c.Bool("text_config/mlp_bias", false))
      c.Fail("text_config/mlp_bias", "is true, expected false");
    tie_word_embeddings = false;  // never, whatever config.json says
  }
  RopeAttention::Options attention(int) const {
    return {.qkv_bias = attention_bias, .output_bias = attention_bias};
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim, .theta = rope_theta, .params = "text_config/rope_parameters"};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.renames = LlavaRenames();
    s.renames.push_back(
        {.from = {R"((?:model\.)?audio_tower\.(.*))"}, .to = {R"(audio_tower.\1)"}});
    s.inputs = {audio.input_features(),
                {"audio", "segments", KEEL_I32, {-2}, {}, {KEEL_MERGE_BORDERS}}};
    return s;
  }

 private:
  // A null says that heads are equal parts of the hidden size.
  static bool EqualHeads(const Config& c) { return c.IsNull("text_config/head_dim"); }
};

struct VoxtralMultiModalProjector {
  int64_t size;  // of what one row of the decoder is made of
  Linear linear_1, linear_2;
  uint32_t act;
  VoxtralMultiModalProjector(const Scope& s, const VoxtralConfig& c)
      : size(c.audio.encoder_ffn_dim),
        linear_1(s / "linear_1", size, c.hidden_size),
        linear_2(s / "linear_2", c.hidden_size, c.hidden_size),
        act(c.projector_hidden_act) {}
  Tensor operator()(Tensor x) const { return linear_2(linear_1(x.View({-1, size})).Act(act)); }
};

struct VoxtralForConditionalGeneration : DenseDecoder<VoxtralConfig> {
  static constexpr const char* kModelType = "voxtral";
  static constexpr const char* kArchitectures[] = {"VoxtralForConditionalGeneration"};

  WhisperEncoder audio_tower;
  VoxtralMultiModalProjector multi_modal_projector;
  VoxtralForConditionalGeneration(const Scope& root, const VoxtralConfig& c)
      : DenseDecoder(root, c),
        audio_tower(root / "audio_tower", c.audio),
        multi_modal_projector(root / "multi_modal_projector", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor x = audio_tower.Run(audio_tower.Embed(in[0]), in[1]);
    return multi_modal_projector(audio_tower.layer_norm(x));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.voxtral", "0.1.0", keel::VoxtralForConditionalGeneration,
            keel::VoxtralProcessor);

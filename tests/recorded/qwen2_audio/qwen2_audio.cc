// Qwen2-Audio (arXiv:2407.10759), as in transformers' models/qwen2_audio/modeling_qwen2_audio.py: Whisper's encoder
// (arXiv:2212.04356), pooled by two and projected, before a Qwen2 decoder.
#include <cmath>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"
#include "tests/recorded/qwen2_audio/processing_qwen2_audio.h"

namespace keel {
namespace {

struct Qwen2AudioEncoderConfig {
  int64_t d_model, encoder_layers, encoder_attention_heads, encoder_ffn_dim, num_mel_bins,
      max_source_positions;
  uint32_t activation_function;
  explicit Qwen2AudioEncoderConfig(const Config& c)
      : d_model(c.Int("d_model", 1280)),
        encoder_layers(c.NumLayers("encoder_layers", 32)),
        encoder_attention_heads(c.Int("encoder_attention_heads", 20)),
        encoder_ffn_dim(c.Int("encoder_ffn_dim", 5120)),
        num_mel_bins(c.Int("num_mel_bins", 128)),
        max_source_positions(c.Int("max_source_positions", 1500)),
        activation_function(c.Activation("activation_function", "gelu")) {
    if (encoder_attention_heads < 1 || d_model % encoder_attention_heads != 0)
      c.Fail("d_model", "is " + std::to_string(d_model) + ", which encoder_attention_heads (" +
                            std::to_string(encoder_attention_heads) + ") does not divide");
  }
};

struct Qwen2AudioConfig : DenseConfig {
  Qwen2AudioEncoderConfig audio;
  WindowedLayers windows;
  explicit Qwen2AudioConfig(const Config& c)
      : DenseConfig(c.Object("text_config")),
        audio(c.Object("audio_config")),
        windows(c.Object("text_config")) {}
  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = true, .window = windows(layer)};
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim, .theta = rope_theta, .params = "text_config/rope_parameters"};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.base_model_prefix = "language_model.model";
    s.embed_tokens = "language_model.model.embed_tokens";
    s.lm_head = "language_model.lm_head";
    // A clip is always padded to the positions that the encoder has: `segments` keeps its padding apart, `rows` are
    // the features of sound. -1: clips.
    s.inputs = {{"audio",
                 "input_features",
                 KEEL_DTYPE_MODEL,
                 {-1, audio.num_mel_bins, 2 * audio.max_source_positions}},
                {"audio", "segments", KEEL_I32, {-2}},
                {"audio", "rows", KEEL_I64, {-3}}};
    return s;
  }
};

struct Qwen2AudioAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, out_proj;
  Attention attn;
  Qwen2AudioAttention(const Scope& s, const Qwen2AudioEncoderConfig& c)
      : head_dim(c.d_model / c.encoder_attention_heads),
        q_proj(s / "q_proj", c.d_model, c.d_model, true),
        k_proj(s / "k_proj", c.d_model, c.d_model, false),
        v_proj(s / "v_proj", c.d_model, c.d_model, true),
        out_proj(s / "out_proj", c.d_model, c.d_model, true),
        attn(s, {.kind = KEEL_ATTENTION_ENCODER,
                 .heads = c.encoder_attention_heads,
                 .kv_heads = c.encoder_attention_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim,
                 .scale = 1}) {}
  Tensor operator()(Tensor x, Tensor segments) const {
    // Scaled before the product, as Whisper was trained.
    const Tensor q = q_proj(x) * std::pow(static_cast<double>(head_dim), -0.5);
    return out_proj(attn(q.Heads(head_dim), k_proj(x).Heads(head_dim), v_proj(x).Heads(head_dim),
                         {{"segments", segments}})
                        .Flat());
  }
};

struct Qwen2AudioEncoderLayer {
  uint32_t activation_fn;
  Qwen2AudioAttention self_attn;
  LayerNorm self_attn_layer_norm, final_layer_norm;
  Linear fc1, fc2;
  Qwen2AudioEncoderLayer(const Scope& s, const Qwen2AudioEncoderConfig& c)
      : activation_fn(c.activation_function),
        self_attn(s / "self_attn", c),
        self_attn_layer_norm(s / "self_attn_layer_norm", c.d_model, 1e-5),
        final_layer_norm(s / "final_layer_norm", c.d_model, 1e-5),
        fc1(s / "fc1", c.d_model, c.encoder_ffn_dim, true),
        fc2(s / "fc2", c.encoder_ffn_dim, c.d_model, true) {}
  Tensor operator()(Tensor x, Tensor segments) const {
    x = x + self_attn(self_attn_layer_norm(x), segments);
    return x + fc2(fc1(final_layer_norm(x)).Act(activation_fn));
  }
};

struct Qwen2AudioEncoder {
  int64_t d_model;
  Conv conv1, conv2;
  Param embed_positions;
  std::vector<Qwen2AudioEncoderLayer> layers;
  LayerNorm layer_norm;
  Qwen2AudioEncoder(const Scope& s, const Qwen2AudioEncoderConfig& c)
      : d_model(c.d_model),
        conv1(s / "conv1", {.ndim = 1,
                            .in = c.num_mel_bins,
                            .out = c.d_model,
                            .kernel = {3},
                            .stride = {1},
                            .padding = {1},
                            .flags = KEEL_CONV_BIAS}),
        conv2(s / "conv2", {.ndim = 1,
                            .in = c.d_model,
                            .out = c.d_model,
                            .kernel = {3},
                            .stride = {2},
                            .padding = {1},
                            .flags = KEEL_CONV_BIAS}),
        embed_positions(s / "embed_positions" / "weight", {c.max_source_positions, c.d_model}),
        layer_norm(s / "layer_norm", c.d_model, 1e-5) {
    for (int64_t i = 0; i < c.encoder_layers; ++i) layers.emplace_back(s / "layers" / i, c);
  }
  // input_features [clips, mel, frames] -> [clips * frames / 4, d_model]
  Tensor operator()(Tensor input_features, Tensor segments) const {
    Tensor x = conv1(input_features).Act(KEEL_ACT_GELU);
    x = conv2(x).Act(KEEL_ACT_GELU);
    x = x.Permute({0, 2, 1}) + embed_positions(x.run);
    x = x.View({-1, d_model});
    for (const Qwen2AudioEncoderLayer& layer : layers) x = layer(x, segments);
    return layer_norm(x.View({-1, 2, d_model}).Mean(1));  // avg_pooler
  }
};

struct Qwen2AudioForConditionalGeneration : DenseDecoder<Qwen2AudioConfig> {
  static constexpr const char* kModelType = "qwen2_audio";
  static constexpr const char* kArchitectures[] = {"Qwen2AudioForConditionalGeneration"};

  Qwen2AudioEncoder audio_tower;
  Linear multi_modal_projector;
  Qwen2AudioForConditionalGeneration(const Scope& root, const Qwen2AudioConfig& c)
      : DenseDecoder(root / "language_model", c),
        audio_tower(root / "audio_tower", c.audio),
        multi_modal_projector(root / "multi_modal_projector" / "linear", c.audio.d_model,
                              c.hidden_size, true) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor input_features = in[0], segments = in[1], rows = in[2];
    return multi_modal_projector(audio_tower(input_features, segments).Rows(rows));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen2_audio", "0.1.0", keel::Qwen2AudioForConditionalGeneration,
            keel::Qwen2AudioProcessor);

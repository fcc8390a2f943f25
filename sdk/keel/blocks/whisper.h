// Whisper's encoder (arXiv:2212.04356), as models that hear have it: two convolutions over a spectrogram, the second of a
// stride of 2, a table of positions, and layers with a norm before each block.
//
//   #include "sdk/keel/blocks/whisper.h"
//   using namespace keel;
//
//   struct MyTower {  // a row for two frames
//     WhisperEncoder encoder;
//     MyTower(const Scope& root, const Config& c)
//         : encoder(root / "audio_tower", WhisperEncoderConfig(c.Object("audio_config"))) {}
//     Tensor Encode(const std::vector<Tensor>& in) const {  // input_features, segments
//       return encoder.layer_norm(encoder.Run(encoder.Embed(in[0]), in[1]));
//     }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_WHISPER_H_
#define KEEL_SDK_KEEL_BLOCKS_WHISPER_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// Under Whisper's names, or those of newer classes.
struct WhisperEncoderConfig {
  int64_t d_model, encoder_layers, encoder_attention_heads, encoder_ffn_dim, num_mel_bins,
      max_source_positions;
  uint32_t activation_function;
  explicit WhisperEncoderConfig(const Config& c)
      : d_model(c.Int("d_model|hidden_size", 1280)),
        encoder_layers(c.NumLayers("encoder_layers|num_hidden_layers", 32)),
        encoder_attention_heads(c.Int("encoder_attention_heads|num_attention_heads", 20)),
        encoder_ffn_dim(c.Int("encoder_ffn_dim|intermediate_size", 5120)),
        num_mel_bins(c.Int("num_mel_bins", 128)),
        max_source_positions(c.Int("max_source_positions", 1500)),
        activation_function(c.Activation("activation_function", "gelu")) {
    if (encoder_attention_heads < 1 || d_model % encoder_attention_heads != 0) {
      c.Fail("d_model", "is " + std::to_string(d_model) + ", which encoder_attention_heads (" +
                            std::to_string(encoder_attention_heads) + ") does not divide");
      encoder_attention_heads = 1;
    }
    CheckBound(c, "num_mel_bins", num_mel_bins);
    CheckBound(c, "max_source_positions", max_source_positions);
  }
  int64_t frames() const { return 2 * max_source_positions; }  // of a window

  // The spectrogram that Embed takes; -1: windows.
  Spec::Input input_features() const {
    return {"audio", "input_features", KEEL_DTYPE_MODEL, {-1, num_mel_bins, frames()},
            {},      {KEEL_MERGE_ROWS}};
  }

 private:
  // Memory is made of it.
  static void CheckBound(const Config& c, const char* key, int64_t& value) {
    constexpr int64_t kMost = 1 << 15;
    if (value >= 1 && value <= kMost) return;
    c.Fail(key, "is " + std::to_string(value) + ", expected 1 to " + std::to_string(kMost));
    value = 1;
  }
};

struct WhisperAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, out_proj;
  Attention attn;
  WhisperAttention(const Scope& s, const WhisperEncoderConfig& c)
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

struct WhisperEncoderLayer {
  uint32_t activation_fn;
  WhisperAttention self_attn;
  LayerNorm self_attn_layer_norm, final_layer_norm;
  Linear fc1, fc2;
  WhisperEncoderLayer(const Scope& s, const WhisperEncoderConfig& c)
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

struct WhisperEncoder {
  int64_t d_model;
  Conv conv1, conv2;
  Param embed_positions;
  std::vector<WhisperEncoderLayer> layers;
  LayerNorm layer_norm;
  WhisperEncoder(const Scope& s, const WhisperEncoderConfig& c)
      : d_model(c.d_model),
        conv1(s / "conv1", Kernel3(c.num_mel_bins, c.d_model, 1)),
        conv2(s / "conv2", Kernel3(c.d_model, c.d_model, 2)),
        embed_positions(s / "embed_positions" / "weight", {c.max_source_positions, c.d_model}),
        layer_norm(s / "layer_norm", c.d_model, 1e-5) {
    for (int64_t i = 0; i < c.encoder_layers; ++i) layers.emplace_back(s / "layers" / i, c);
  }
  // [windows, num_mel_bins, frames] -> [windows * max_source_positions, d_model]
  Tensor Embed(Tensor input_features) const {
    const Tensor x = conv2(conv1(input_features).Act(KEEL_ACT_GELU)).Act(KEEL_ACT_GELU);
    return (x.Permute({0, 2, 1}) + embed_positions(x.run)).View({-1, d_model});
  }
  // All layers, not the norm behind them; rows of a segment see each other.
  Tensor Run(Tensor x, Tensor segments) const {
    for (const WhisperEncoderLayer& layer : layers) x = layer(x, segments);
    return x;
  }

 private:
  static keel_conv_desc Kernel3(int64_t in, int64_t out, int64_t stride) {
    return {.ndim = 1,
            .in = in,
            .out = out,
            .kernel = {3},
            .stride = {stride},
            .padding = {1},
            .flags = KEEL_CONV_BIAS};
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_WHISPER_H_

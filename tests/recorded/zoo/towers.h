// Towers for images before a decoder of the Llama line, as in transformers' models/<name>.
#ifndef KEEL_TESTS_RECORDED_ZOO_TOWERS_H_
#define KEEL_TESTS_RECORDED_ZOO_TOWERS_H_

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {

struct TowerConfig {
  int64_t hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, image_size,
      patch_size, side, patches;
  uint32_t hidden_act;
  TowerConfig(const Config& c, const char* act)
      : hidden_size(c.Int("hidden_size")),
        intermediate_size(c.Int("intermediate_size")),
        num_hidden_layers(c.NumLayers("num_hidden_layers")),
        num_attention_heads(c.Int("num_attention_heads")),
        image_size(c.Int("image_size")),
        patch_size(c.Int("patch_size")),
        side(patch_size > 0 ? image_size / patch_size : 0),
        patches(side * side),
        hidden_act(c.Activation("hidden_act", act)) {}
};

// The decoder's part of a config that has a text_config.
struct TextConfig : DenseConfig {
  explicit TextConfig(const Config& c) : DenseConfig(c.Object("text_config")) {}
  RopeAttention::Options attention(int) const { return {}; }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim, .theta = rope_theta, .params = "text_config/rope_parameters"};
  }
  // All tiles have one size; `segments` keeps each to itself.
  Spec WithTiles(int64_t image_size) const {
    Spec s = DenseConfig::spec();
    s.inputs = {{"image", "pixel_values", KEEL_DTYPE_MODEL, {-1, 3, image_size, image_size}},
                {"image", "segments", KEEL_I32, {-2}}};
    return s;
  }
};

// A layer of CLIP's and SigLIP's encoders.
struct ClipLayer {
  int64_t head_dim;
  uint32_t act;
  Linear q_proj, k_proj, v_proj, out_proj, fc1, fc2;
  Attention attn;
  LayerNorm layer_norm1, layer_norm2;
  ClipLayer(const Scope& s, const TowerConfig& c)
      : head_dim(c.hidden_size / c.num_attention_heads),
        act(c.hidden_act),
        q_proj(s / "self_attn" / "q_proj", c.hidden_size, c.hidden_size, true),
        k_proj(s / "self_attn" / "k_proj", c.hidden_size, c.hidden_size, true),
        v_proj(s / "self_attn" / "v_proj", c.hidden_size, c.hidden_size, true),
        out_proj(s / "self_attn" / "out_proj", c.hidden_size, c.hidden_size, true),
        fc1(s / "mlp" / "fc1", c.hidden_size, c.intermediate_size, true),
        fc2(s / "mlp" / "fc2", c.intermediate_size, c.hidden_size, true),
        attn(s / "self_attn", {.kind = KEEL_ATTENTION_ENCODER,
                               .heads = c.num_attention_heads,
                               .kv_heads = c.num_attention_heads,
                               .qk_dim = head_dim,
                               .v_dim = head_dim}),
        layer_norm1(s / "layer_norm1", c.hidden_size, 1e-5),
        layer_norm2(s / "layer_norm2", c.hidden_size, 1e-5) {}
  Tensor operator()(Tensor x, Tensor segments) const {
    const Tensor h = layer_norm1(x);
    x = x + out_proj(attn(q_proj(h).Heads(head_dim), k_proj(h).Heads(head_dim),
                          v_proj(h).Heads(head_dim), {{"segments", segments}})
                         .Flat());
    return x + fc2(fc1(layer_norm2(x)).Act(act));
  }
};

// Patches of tiles [B, 3, size, size], after some layers: [B * rows, hidden_size].
struct ClipTower {
  TowerConfig c;
  int64_t rows;
  Conv patch_embedding;
  Param position_embedding;
  std::optional<Param> class_embedding;
  std::vector<ClipLayer> layers;
  ClipTower(const Scope& s, const TowerConfig& config, int64_t num_layers, bool has_class)
      : c(config),
        rows(c.patches + (has_class ? 1 : 0)),
        patch_embedding(s / "embeddings" / "patch_embedding",
                        {.ndim = 2,
                         .in = 3,
                         .out = c.hidden_size,
                         .kernel = {c.patch_size, c.patch_size},
                         .stride = {c.patch_size, c.patch_size},
                         .flags = has_class ? 0 : KEEL_CONV_BIAS}),
        position_embedding(s / "embeddings" / "position_embedding" / "weight",
                           {rows, c.hidden_size}) {
    if (has_class)
      class_embedding.emplace(s / "embeddings" / "class_embedding",
                              std::initializer_list<int64_t>{c.hidden_size});
    for (int64_t i = 0; i < num_layers; ++i) layers.emplace_back(s / "encoder" / "layers" / i, c);
  }
  Tensor Embed(Tensor pixels) const {
    Tensor x = patch_embedding(pixels).View({0, c.hidden_size, c.patches}).Permute({0, 2, 1});
    if (class_embedding) {
      const Tensor row = (*class_embedding)(pixels.run).View({1, 1, c.hidden_size});
      x = Cat({row.ExpandAs(x.Narrow(1, 0, 1)), x}, 1);
    }
    return (x + position_embedding(pixels.run)).View({-1, c.hidden_size});
  }
  Tensor Run(Tensor x, Tensor segments) const {
    for (const ClipLayer& layer : layers) x = layer(x, segments);
    return x;
  }
};

// ---- LLaVA 1.5: CLIP's last layer but one, without the class row ----

struct LlavaConfig : TextConfig {
  TowerConfig vision;
  explicit LlavaConfig(const Config& c)
      : TextConfig(c), vision(c.Object("vision_config"), "quick_gelu") {}
  Spec spec() const { return WithTiles(vision.image_size); }
};

struct LlavaForConditionalGeneration : DenseDecoder<LlavaConfig> {
  static constexpr const char* kModelType = "llava";
  static constexpr const char* kArchitectures[] = {"LlavaForConditionalGeneration"};

  ClipTower vision_model;
  LayerNorm pre_layrnorm;
  Linear linear_1, linear_2;
  LlavaForConditionalGeneration(const Scope& root, const LlavaConfig& c)
      : DenseDecoder(root, c),
        vision_model(root / "vision_tower" / "vision_model", c.vision,
                     c.vision.num_hidden_layers - 1, true),
        pre_layrnorm(root / "vision_tower" / "vision_model" / "pre_layrnorm", c.vision.hidden_size,
                     1e-5),
        linear_1(root / "multi_modal_projector" / "linear_1", c.vision.hidden_size, c.hidden_size,
                 true),
        linear_2(root / "multi_modal_projector" / "linear_2", c.hidden_size, c.hidden_size, true) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const TowerConfig& v = vision_model.c;
    Tensor x = vision_model.Run(pre_layrnorm(vision_model.Embed(in[0])), in[1]);
    x = x.View({-1, v.patches + 1, v.hidden_size}).Narrow(1, 1, v.patches);
    return linear_2(linear_1(x.View({-1, v.hidden_size})).Act(KEEL_ACT_GELU));
  }
};

// ---- Idefics3: SigLIP, then several patches moved into one row (pixel shuffle) ----

struct Idefics3Config : TextConfig {
  TowerConfig vision;
  int64_t scale_factor;
  explicit Idefics3Config(const Config& c)
      : TextConfig(c),
        vision(c.Object("vision_config"), "gelu_pytorch_tanh"),
        scale_factor(c.Int("scale_factor", 2)) {
    if (scale_factor < 1 || vision.side % scale_factor != 0)
      c.Fail("scale_factor", "does not divide the patches of a side");
  }
  Spec spec() const { return WithTiles(vision.image_size); }
};

struct Idefics3ForConditionalGeneration : DenseDecoder<Idefics3Config> {
  static constexpr const char* kModelType = "idefics3";
  static constexpr const char* kArchitectures[] = {"Idefics3ForConditionalGeneration"};

  int64_t factor;
  ClipTower vision_model;
  LayerNorm post_layernorm;
  Linear proj;
  Idefics3ForConditionalGeneration(const Scope& root, const Idefics3Config& c)
      : DenseDecoder(root, c),
        factor(c.scale_factor),
        vision_model(root / "model" / "vision_model", c.vision, c.vision.num_hidden_layers, false),
        post_layernorm(root / "model" / "vision_model" / "post_layernorm", c.vision.hidden_size,
                       1e-6),
        proj(root / "model" / "connector" / "modality_projection" / "proj",
             c.vision.hidden_size * factor * factor, c.hidden_size) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const int64_t side = vision_model.c.side, size = vision_model.c.hidden_size,
                  few = side / factor;
    Tensor x = post_layernorm(vision_model.Run(vision_model.Embed(in[0]), in[1]));
    x = x.View({-1, side, few, size * factor}).Permute({0, 2, 1, 3});
    x = x.View({0, few, few, size * factor * factor}).Permute({0, 2, 1, 3});
    return proj(x.View({-1, size * factor * factor}));
  }
};

// ---- Pixtral: patches of images of any size, heights rotated by even frequencies, widths by odd ----

struct PixtralConfig : TextConfig {
  TowerConfig vision;
  explicit PixtralConfig(const Config& c)
      : TextConfig(c), vision(c.Object("vision_config"), "silu") {}
  int64_t vision_head_dim() const { return vision.hidden_size / vision.num_attention_heads; }
  std::vector<double> inv_freq() const {
    std::vector<double> out;
    const int64_t pairs = vision_head_dim() / 2;
    for (const int64_t first : {0, 1}) {
      for (int64_t i = first; i < pairs; i += 2)
        out.push_back(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs)));
    }
    return out;
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.inputs = {
        {"image", "pixel_values", KEEL_DTYPE_MODEL, {-1, 3, vision.patch_size, vision.patch_size}},
        {"image", "positions", KEEL_I64, {2, -1}},
        {"image", "segments", KEEL_I32, {-2}}};
    return s;
  }
};

struct PixtralLayer {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  Attention attn;
  GatedMlp feed_forward;
  RmsNorm attention_norm, ffn_norm;
  PixtralLayer(const Scope& s, const PixtralConfig& c)
      : head_dim(c.vision_head_dim()),
        q_proj(s / "attention" / "q_proj", c.vision.hidden_size, c.vision.hidden_size),
        k_proj(s / "attention" / "k_proj", c.vision.hidden_size, c.vision.hidden_size),
        v_proj(s / "attention" / "v_proj", c.vision.hidden_size, c.vision.hidden_size),
        o_proj(s / "attention" / "o_proj", c.vision.hidden_size, c.vision.hidden_size),
        attn(s / "attention", {.kind = KEEL_ATTENTION_ENCODER,
                               .heads = c.vision.num_attention_heads,
                               .kv_heads = c.vision.num_attention_heads,
                               .qk_dim = head_dim,
                               .v_dim = head_dim}),
        feed_forward(s / "feed_forward", c.vision.hidden_size, c.vision.intermediate_size,
                     c.vision.hidden_act),
        attention_norm(s / "attention_norm", c.vision.hidden_size, 1e-5),
        ffn_norm(s / "ffn_norm", c.vision.hidden_size, 1e-5) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor segments) const {
    const Tensor h = attention_norm(x);
    x = x + o_proj(attn(rope(q_proj(h).Heads(head_dim), positions),
                        rope(k_proj(h).Heads(head_dim), positions), v_proj(h).Heads(head_dim),
                        {{"segments", segments}})
                       .Flat());
    return x + feed_forward(ffn_norm(x));
  }
};

struct PixtralForConditionalGeneration : DenseDecoder<PixtralConfig> {
  static constexpr const char* kModelType = "pixtral_llava";
  static constexpr const char* kArchitectures[] = {"PixtralForConditionalGeneration"};

  int64_t vision_size;
  Rope vision_rope;
  Conv patch_conv;
  RmsNorm ln_pre;
  std::vector<PixtralLayer> transformer;
  Linear linear_1, linear_2;
  PixtralForConditionalGeneration(const Scope& root, const PixtralConfig& c)
      : DenseDecoder(root, c),
        vision_size(c.vision.hidden_size),
        vision_rope(root,
                    {.head_dim = c.vision_head_dim(),
                     .num_sections = 2,
                     .sections = {c.vision_head_dim() / 4, c.vision_head_dim() / 4}},
                    c.inv_freq()),
        patch_conv(root / "vision_tower" / "patch_conv",
                   {.ndim = 2,
                    .in = 3,
                    .out = vision_size,
                    .kernel = {c.vision.patch_size, c.vision.patch_size},
                    .stride = {c.vision.patch_size, c.vision.patch_size}}),
        ln_pre(root / "vision_tower" / "ln_pre", vision_size, 1e-5),
        linear_1(root / "multi_modal_projector" / "linear_1", vision_size, c.hidden_size, true),
        linear_2(root / "multi_modal_projector" / "linear_2", c.hidden_size, c.hidden_size, true) {
    for (int64_t i = 0; i < c.vision.num_hidden_layers; ++i)
      transformer.emplace_back(root / "vision_tower" / "transformer" / "layers" / i, c);
  }
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    Tensor x = ln_pre(patch_conv(in[0]).View({0, vision_size}));
    for (const PixtralLayer& layer : transformer) x = layer(x, vision_rope, in[1], in[2]);
    return linear_2(linear_1(x).Act(KEEL_ACT_GELU));
  }
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_ZOO_TOWERS_H_

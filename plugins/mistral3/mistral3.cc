// Mistral Small 3.1 and later, as in transformers' models/mistral3/modeling_mistral3.py: Pixtral's tower (arXiv:2410.07073)
// over images of any size, of which several neighbours become one row, before Mistral's decoder.
#include <cmath>

#include "plugins/mistral3/processing_pixtral.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct PixtralVisionConfig {
  int64_t hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, patch_size;
  double rope_theta;
  uint32_t hidden_act;
  explicit PixtralVisionConfig(const Config& c)
      : hidden_size(c.Int("hidden_size", 1024)),
        intermediate_size(c.Int("intermediate_size", 4096)),
        num_hidden_layers(c.NumLayers("num_hidden_layers", 24)),
        num_attention_heads(c.Int("num_attention_heads", 16)),
        patch_size(CheckedSide(c, "patch_size", c.Int("patch_size", 16))),
        rope_theta(c.Real("rope_parameters/rope_theta|rope_theta", 10000)),
        hidden_act(c.Activation("hidden_act", "gelu")) {
    constexpr int64_t kMostHeadDim = 1 << 16;  // a constant holds the frequencies of a head
    if (num_attention_heads >= 1 && hidden_size % num_attention_heads == 0 && head_dim() % 4 == 0 &&
        head_dim() <= kMostHeadDim)
      return;
    c.Fail("hidden_size", "is " + std::to_string(hidden_size) + " for num_attention_heads " +
                              std::to_string(num_attention_heads) +
                              ", expected a multiple of 4 for each head, at most " +
                              std::to_string(kMostHeadDim));
    num_attention_heads = 1, hidden_size = 4;
  }
  int64_t head_dim() const { return hidden_size / num_attention_heads; }
};

struct Mistral3Config : TextModelConfig {
  PixtralVisionConfig vision;
  int64_t merge_unit;  // patches of a token
  bool multimodal_projector_bias;
  uint32_t projector_hidden_act;
  explicit Mistral3Config(const Config& c)
      : TextModelConfig(c, "mistral", {.tie_word_embeddings = true}),
        vision(c.Object("vision_config")),
        merge_unit(CheckedSide(c, "spatial_merge_size", c.Int("spatial_merge_size", 2))),
        multimodal_projector_bias(c.Bool("multimodal_projector_bias", false)),
        projector_hidden_act(c.Activation("projector_hidden_act", "gelu")) {
    merge_unit *= merge_unit;
    if (c.Int("vision_feature_layer", -1) != -1)
      c.Fail("vision_feature_layer", "is not -1, the last one, which is expected");
    const std::string tower = c.String("vision_config/model_type", "pixtral");
    if (tower != "pixtral")
      c.Fail("vision_config/model_type", "is '" + tower + "', expected pixtral");
  }
  Spec spec() const {
    Spec s = TextModelConfig::spec();
    s.renames = LlavaRenames();
    const int64_t p = vision.patch_size, unit = merge_unit;  // -1: tokens, each of `unit` patches
    s.inputs = {
        {"image", "pixel_values", KEEL_DTYPE_MODEL, {-1, 3, p, p}, {unit}, {KEEL_MERGE_ROWS}},
        {"image", "positions", KEEL_I64, {2, -1}, {1, unit}, {KEEL_MERGE_ROWS}},
        {"image", "segments", KEEL_I32, {-2}, {}, {KEEL_MERGE_BORDERS}}};
    return s;
  }
};

struct PixtralAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  Attention attn;
  PixtralAttention(const Scope& s, const PixtralVisionConfig& c)
      : head_dim(c.head_dim()),
        q_proj(s / "q_proj", c.hidden_size, c.hidden_size),
        k_proj(s / "k_proj", c.hidden_size, c.hidden_size),
        v_proj(s / "v_proj", c.hidden_size, c.hidden_size),
        o_proj(s / "o_proj", c.hidden_size, c.hidden_size),
        attn(s, {.kind = KEEL_ATTENTION_ENCODER,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_attention_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor segments) const {
    const Tensor q = rope(q_proj(x).Heads(head_dim), positions);
    const Tensor k = rope(k_proj(x).Heads(head_dim), positions);
    return o_proj(attn(q, k, v_proj(x).Heads(head_dim), {{"segments", segments}}).Flat());
  }
};

struct PixtralAttentionLayer {
  RmsNorm attention_norm, ffn_norm;
  PixtralAttention attention;
  GatedMlp feed_forward;
  PixtralAttentionLayer(const Scope& s, const PixtralVisionConfig& c)
      : attention_norm(s / "attention_norm", c.hidden_size, 1e-5),
        ffn_norm(s / "ffn_norm", c.hidden_size, 1e-5),
        attention(s / "attention", c),
        feed_forward(s / "feed_forward", c.hidden_size, c.intermediate_size, c.hidden_act) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor segments) const {
    x = x + attention(attention_norm(x), rope, positions, segments);
    return x + feed_forward(ffn_norm(x));
  }
};

// Of a head's frequencies rows have the even ones, columns the odd ones.
Rope PixtralVisionRope(const Scope& s, const PixtralVisionConfig& c) {
  std::vector<double> frequencies;
  const int64_t pairs = c.head_dim() / 2;
  for (const int64_t first : {0, 1}) {
    for (int64_t i = first; i < pairs; i += 2) {
      frequencies.push_back(
          std::pow(c.rope_theta, -static_cast<double>(i) / static_cast<double>(pairs)));
    }
  }
  return Rope(s, {.head_dim = c.head_dim(), .num_sections = 2, .sections = {pairs / 2, pairs / 2}},
              frequencies);
}

struct PixtralVisionModel {
  int64_t hidden_size;
  Conv patch_conv;
  RmsNorm ln_pre;
  Rope patch_positional_embedding;
  std::vector<PixtralAttentionLayer> layers;
  PixtralVisionModel(const Scope& s, const PixtralVisionConfig& c)
      : hidden_size(c.hidden_size),
        patch_conv(s / "patch_conv", {.ndim = 2,
                                      .in = 3,
                                      .out = hidden_size,
                                      .kernel = {c.patch_size, c.patch_size},
                                      .stride = {c.patch_size, c.patch_size}}),
        ln_pre(s / "ln_pre", hidden_size, 1e-5),
        patch_positional_embedding(PixtralVisionRope(s, c)) {
    for (int64_t i = 0; i < c.num_hidden_layers; ++i)
      layers.emplace_back(s / "transformer" / "layers" / i, c);
  }
  Tensor operator()(Tensor pixel_values, Tensor positions, Tensor segments) const {
    Tensor x = ln_pre(patch_conv(pixel_values).View({0, hidden_size}));
    for (const PixtralAttentionLayer& layer : layers)
      x = layer(x, patch_positional_embedding, positions, segments);
    return x;
  }
};

struct Mistral3MultiModalProjector {
  int64_t hidden_size, merge_unit;
  RmsNorm norm;
  Linear merging_layer, linear_1, linear_2;
  uint32_t act;
  Mistral3MultiModalProjector(const Scope& s, const Mistral3Config& c)
      : hidden_size(c.vision.hidden_size),
        merge_unit(c.merge_unit),
        norm(s / "norm", hidden_size, c.rms_norm_eps),
        merging_layer(s / "patch_merger" / "merging_layer", hidden_size * merge_unit, hidden_size),
        linear_1(s / "linear_1", hidden_size, c.hidden_size, c.multimodal_projector_bias),
        linear_2(s / "linear_2", c.hidden_size, c.hidden_size, c.multimodal_projector_bias),
        act(c.projector_hidden_act) {}
  // A token's patches follow each other; of the merged row each channel has all of them.
  Tensor operator()(Tensor x) const {
    x = norm(x).View({-1, merge_unit, hidden_size}).Permute({0, 2, 1});
    return linear_2(linear_1(merging_layer(x.View({-1, merge_unit * hidden_size}))).Act(act));
  }
};

struct Mistral3ForConditionalGeneration : DenseDecoder<Mistral3Config> {
  static constexpr const char* kModelType = "mistral3";
  static constexpr const char* kArchitectures[] = {"Mistral3ForConditionalGeneration"};

  PixtralVisionModel vision_tower;
  Mistral3MultiModalProjector multi_modal_projector;
  Mistral3ForConditionalGeneration(const Scope& root, const Mistral3Config& c)
      : DenseDecoder(root, c),
        vision_tower(root / "vision_tower", c.vision),
        multi_modal_projector(root / "multi_modal_projector", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    return multi_modal_projector(vision_tower(in[0], in[1], in[2]));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.mistral3", "0.1.0", keel::Mistral3ForConditionalGeneration,
            keel::PixtralProcessor);

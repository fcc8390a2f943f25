// InternVL (arXiv:2504.10479), as in transformers' models/internvl/modeling_internvl.py: InternViT's features of tiles, of
// which four neighbours become one row, before a decoder of the Llama line.
#include "plugins/internvl/processing_internvl.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct InternVLConfig : TextModelConfig {
  VitConfig vision;
  bool attention_bias, use_qk_norm, rms_norm, use_positions, use_mean_pooling;
  int64_t factor;
  uint32_t projector_hidden_act;
  explicit InternVLConfig(const Config& c)
      : TextModelConfig(c, "qwen2", {.tie_word_embeddings = true}),
        vision(c.Object("vision_config"), InternVit()),
        factor(static_cast<int64_t>(1 / c.Real("downsample_ratio", 0.5))),
        projector_hidden_act(c.Activation("projector_hidden_act", "gelu")) {
    const Config v = c.Object("vision_config");
    attention_bias = v.Bool("attention_bias", false);
    use_qk_norm = v.Bool("use_qk_norm", false);
    rms_norm = v.String("norm_type", "layer_norm") == "rms_norm";
    use_positions = v.Bool("use_absolute_position_embeddings", true);
    use_mean_pooling = v.Bool("use_mean_pooling", true);
    if (factor < 1 || vision.side % factor != 0) {
      c.Fail("downsample_ratio", "does not divide " + std::to_string(vision.side) +
                                     ", the patches of a side, into squares");
      factor = 1;
    }
    if (c.Int("vision_feature_layer", -1) != -1)
      c.Fail("vision_feature_layer", "is not -1, the last one, which is expected");
    if (c.String("vision_feature_select_strategy", "default") != "default")
      c.Fail("vision_feature_select_strategy", "is not default, which is expected");
  }
  keel_norm_desc norm() const {
    return rms_norm ? RmsNorm::Desc(vision.hidden_size, vision.layer_norm_eps)
                    : LayerNorm::Desc(vision.hidden_size, vision.layer_norm_eps);
  }
  Spec spec() const {
    Spec s = TextModelConfig::spec();
    s.renames = LlavaRenames();
    s.renames.push_back(
        {.op = KEEL_RENAME_IGNORE, .from = {R"(vision_tower\.embeddings\.mask_token)"}, .to = {}});
    s.inputs = vision.inputs();
    return s;
  }
};

struct InternVLVisionAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, projection_layer;
  std::optional<RmsNorm> q_norm, k_norm;
  Attention attn;
  InternVLVisionAttention(const Scope& s, const InternVLConfig& c)
      : head_dim(c.vision.hidden_size / c.vision.num_attention_heads),
        q_proj(s / "q_proj", c.vision.hidden_size, c.vision.hidden_size, c.attention_bias),
        k_proj(s / "k_proj", c.vision.hidden_size, c.vision.hidden_size, c.attention_bias),
        v_proj(s / "v_proj", c.vision.hidden_size, c.vision.hidden_size, c.attention_bias),
        projection_layer(s / "projection_layer", c.vision.hidden_size, c.vision.hidden_size, true),
        attn(s, {.kind = KEEL_ATTENTION_ENCODER,
                 .heads = c.vision.num_attention_heads,
                 .kv_heads = c.vision.num_attention_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {
    if (!c.use_qk_norm) return;
    q_norm.emplace(s / "q_norm", c.vision.hidden_size, 1e-6);
    k_norm.emplace(s / "k_norm", c.vision.hidden_size, 1e-6);
  }
  Tensor operator()(Tensor x, Tensor segments) const {
    Tensor q = q_proj(x), k = k_proj(x);
    if (q_norm) q = (*q_norm)(q), k = (*k_norm)(k);
    return projection_layer(attn(q.Heads(head_dim), k.Heads(head_dim), v_proj(x).Heads(head_dim),
                                 {{"segments", segments}})
                                .Flat());
  }
};

struct InternVLVisionLayer {
  InternVLVisionAttention attention;
  Linear fc1, fc2;
  uint32_t act;
  Norm layernorm_before, layernorm_after;
  Param lambda_1, lambda_2;
  InternVLVisionLayer(const Scope& s, const InternVLConfig& c)
      : attention(s / "attention", c),
        fc1(s / "mlp" / "fc1", c.vision.hidden_size, c.vision.intermediate_size, true),
        fc2(s / "mlp" / "fc2", c.vision.intermediate_size, c.vision.hidden_size, true),
        act(c.vision.hidden_act),
        layernorm_before(s / "layernorm_before", c.norm()),
        layernorm_after(s / "layernorm_after", c.norm()),
        lambda_1(s / "lambda_1", {c.vision.hidden_size}),
        lambda_2(s / "lambda_2", {c.vision.hidden_size}) {}
  Tensor operator()(Tensor x, Tensor segments) const {
    x = x + attention(layernorm_before(x), segments) * lambda_1(x.run);
    return x + fc2(fc1(layernorm_after(x)).Act(act)) * lambda_2(x.run);
  }
};

struct InternVLVisionModel {
  VitConfig c;
  Conv projection;
  Param cls_token;
  std::optional<Param> position_embeddings;
  std::vector<InternVLVisionLayer> layer;
  std::optional<LayerNorm> layernorm;
  InternVLVisionModel(const Scope& s, const InternVLConfig& config)
      : c(config.vision),
        projection(s / "embeddings" / "patch_embeddings" / "projection",
                   {.ndim = 2,
                    .in = 3,
                    .out = c.hidden_size,
                    .kernel = {c.patch_size, c.patch_size},
                    .stride = {c.patch_size, c.patch_size},
                    .flags = KEEL_CONV_BIAS}),
        cls_token(s / "embeddings" / "cls_token", {1, 1, c.hidden_size}) {
    if (config.use_positions)
      position_embeddings.emplace(s / "embeddings" / "position_embeddings",
                                  std::initializer_list<int64_t>{1, c.rows(), c.hidden_size});
    for (int64_t i = 0; i < c.num_hidden_layers; ++i)
      layer.emplace_back(s / "encoder" / "layer" / i, config);
    if (!config.use_mean_pooling)
      layernorm.emplace(s / "layernorm", c.hidden_size, c.layer_norm_eps);
  }
  // Tiles [B, 3, size, size] -> rows of the patches [B * patches, hidden_size].
  Tensor operator()(Tensor pixels, Tensor segments) const {
    Tensor x = projection(pixels).View({0, c.hidden_size, c.patches}).Permute({0, 2, 1});
    x = Cat({cls_token(pixels.run).ExpandAs(x.Narrow(1, 0, 1)), x}, 1);
    if (position_embeddings) x = x + (*position_embeddings)(pixels.run);
    x = x.View({-1, c.hidden_size});
    for (const InternVLVisionLayer& l : layer) x = l(x, segments);
    if (layernorm) x = (*layernorm)(x);
    return x.View({-1, c.rows(), c.hidden_size}).Narrow(1, 1, c.patches).View({-1, c.hidden_size});
  }
};

struct InternVLForConditionalGeneration : DenseDecoder<InternVLConfig> {
  static constexpr const char* kModelType = "internvl";
  static constexpr const char* kArchitectures[] = {"InternVLForConditionalGeneration"};

  int64_t side, factor;
  uint32_t act;
  InternVLVisionModel vision_tower;
  LayerNorm layer_norm;
  Linear linear_1, linear_2;
  InternVLForConditionalGeneration(const Scope& root, const InternVLConfig& c)
      : DenseDecoder(root, c),
        side(c.vision.side),
        factor(c.factor),
        act(c.projector_hidden_act),
        vision_tower(root / "vision_tower", c),
        layer_norm(root / "multi_modal_projector" / "layer_norm",
                   c.vision.hidden_size * factor * factor, 1e-5),
        linear_1(root / "multi_modal_projector" / "linear_1",
                 c.vision.hidden_size * factor * factor, c.hidden_size, true),
        linear_2(root / "multi_modal_projector" / "linear_2", c.hidden_size, c.hidden_size, true) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor x = PixelShuffle(vision_tower(in[0], in[1]), side, factor);
    return linear_2(linear_1(layer_norm(x)).Act(act));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.internvl", "0.1.0", keel::InternVLForConditionalGeneration,
            keel::InternVLProcessor);

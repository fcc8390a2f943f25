// GLM-4.1V (arXiv:2507.01006), as in transformers' models/glm4v/modeling_glm4v.py: GLM-4's decoder, half of each head
// rotated by a time, a height and a width, and a vision tower over images of any size with learned positions besides.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/blocks/patches.h"
#include "sdk/keel/blocks/qwen_vl.h"
#include "sdk/keel/blocks/qwen_vl_timed_processor.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Glm4vVisionConfig : PatchSizes {
  int64_t depth, intermediate_size, out_hidden_size, merge_size, side;  // side: of the positions
  uint32_t hidden_act;
  bool attention_bias;
  double rms_norm_eps;
  explicit Glm4vVisionConfig(const Config& c)
      : PatchSizes(c, c.Int("hidden_size", 1536), "hidden_size", 14, 12),
        depth(c.NumLayers("depth", 24)),
        intermediate_size(c.Int("intermediate_size", 13696)),
        out_hidden_size(c.Int("out_hidden_size", 4096)),
        merge_size(c.Int("spatial_merge_size", 2)),
        side(SideOfPositions(c)),
        hidden_act(c.Activation("hidden_act", "silu")),
        attention_bias(c.Bool("attention_bias", false)),
        rms_norm_eps(c.Real("rms_norm_eps", 1e-5)) {}

  // Learned positions are those of the patches of an image of image_size.
  static int64_t SideOfPositions(const Config& c) {
    const int64_t image = c.Int("image_size", 336), patch = c.Int("patch_size", 14);
    if (patch >= 1 && image >= patch) return image / patch;
    c.Fail("image_size",
           "is " + std::to_string(image) + ", expected at least a patch, " + std::to_string(patch));
    return 1;
  }
};

struct Glm4vConfig : QwenVlConfig {
  Glm4vVisionConfig vision;
  explicit Glm4vConfig(const Config& c)
      : QwenVlConfig(c,
                     {.vocab_size = 151552,
                      .hidden_size = 4096,
                      .intermediate_size = 13696,
                      .num_hidden_layers = 40,
                      .num_attention_heads = 32,
                      .num_key_value_heads = 2,
                      .max_position_embeddings = 32768,
                      .rms_norm_eps = 1e-5},
                     {8, 12, 12}),
        vision(c.Object("vision_config")) {
    if (vision.out_hidden_size != hidden_size)
      c.Fail("vision_config/out_hidden_size",
             "is " + std::to_string(vision.out_hidden_size) +
                 ", expected hidden_size = " + std::to_string(hidden_size));
  }
  RopeAttention::Options attention(int) const { return {.qkv_bias = true}; }
  keel_rope_desc rope() const {
    keel_rope_desc desc = QwenVlConfig::rope();
    desc.layout = KEEL_ROPE_INTERLEAVED;
    return desc;
  }
  Spec spec() const {
    Spec s = WithPatches(vision);
    s.renames.push_back({.op = KEEL_RENAME_SPLIT,
                         .from = {R"((.*\.mlp\.)gate_up_proj\.weight)"},
                         .to = {R"(\1gate_proj.weight)", R"(\1up_proj.weight)"}});
    for (const char* tower : {"image", "video"}) {
      for (const Spec::Input& input : InterpolationInputs(tower, 16, vision.merge_unit))
        s.inputs.push_back(input);
    }
    return s;
  }
};

struct Glm4vVisionBlock {
  RmsNorm norm1, norm2;
  PatchAttention attn;
  GatedMlp mlp;
  Glm4vVisionBlock(const Scope& s, const Glm4vVisionConfig& c)
      : norm1(s / "norm1", c.hidden_size, c.rms_norm_eps),
        norm2(s / "norm2", c.hidden_size, c.rms_norm_eps),
        attn(s / "attn", c, {.qkv_bias = c.attention_bias, .proj_bias = false}),
        mlp(s / "mlp", c.hidden_size, c.out_hidden_size, c.hidden_act) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor cu_seqlens) const {
    x = x + attn(norm1(x), rope, positions, cu_seqlens);
    return x + mlp(norm2(x));
  }
};

struct Glm4vVisionPatchMerger {
  Linear proj;
  LayerNorm post_projection_norm;
  GatedMlp mlp;
  Glm4vVisionPatchMerger(const Scope& s, const Glm4vVisionConfig& c)
      : proj(s / "proj", c.out_hidden_size, c.out_hidden_size),
        post_projection_norm(s / "post_projection_norm", c.out_hidden_size, 1e-5),
        mlp(s, c.out_hidden_size, c.intermediate_size, c.hidden_act) {}
  Tensor operator()(Tensor x) const {
    return mlp(post_projection_norm(proj(x)).Act(KEEL_ACT_GELU));
  }
};

struct Glm4vVisionModel {
  int64_t hidden_size, merge_size, out_hidden_size;
  PatchEmbed patch_embed;
  RmsNorm post_conv_layernorm;
  InterpolatedPositions position_embedding;
  Rope rotary_pos_emb;
  std::vector<Glm4vVisionBlock> blocks;
  RmsNorm post_layernorm;
  Conv downsample;
  Glm4vVisionPatchMerger merger;
  Glm4vVisionModel(const Scope& s, const Glm4vVisionConfig& c)
      : hidden_size(c.hidden_size),
        merge_size(c.merge_size),
        out_hidden_size(c.out_hidden_size),
        patch_embed(s / "patch_embed", c, true),
        post_conv_layernorm(s / "post_conv_layernorm", hidden_size, c.rms_norm_eps),
        position_embedding(s / "embeddings" / "position_embedding", c.side * c.side, hidden_size),
        rotary_pos_emb(AxialRope(s, c.head_dim())),
        post_layernorm(s / "post_layernorm", hidden_size, c.rms_norm_eps),
        downsample(s / "downsample", {.ndim = 2,
                                      .in = hidden_size,
                                      .out = out_hidden_size,
                                      .kernel = {merge_size, merge_size},
                                      .stride = {merge_size, merge_size},
                                      .flags = KEEL_CONV_BIAS}),
        merger(s / "merger", c) {
    for (int64_t i = 0; i < c.depth; ++i) blocks.emplace_back(s / "blocks" / i, c);
  }
  // `in`: as the spec declares them.
  Tensor operator()(const std::vector<Tensor>& in) const {
    const Tensor pixel_values = in[0], positions = in[1], cu_seqlens = in[2],
                 interp_indices = in[3], interp_weights = in[4];
    Tensor x = post_conv_layernorm(patch_embed(pixel_values));
    x = x + position_embedding(interp_indices, interp_weights);
    for (const Glm4vVisionBlock& block : blocks)
      x = block(x, rotary_pos_emb, positions, cu_seqlens);
    // The patches of a cell are one after the other.
    x = post_layernorm(x).View({-1, merge_size, merge_size, hidden_size}).Permute({0, 3, 1, 2});
    return merger(downsample(x).View({-1, out_hidden_size}));
  }
};

struct Glm4vTextDecoderLayer {
  RopeAttention self_attn;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_self_attn_layernorm, post_attention_layernorm, post_mlp_layernorm;
  Glm4vTextDecoderLayer(const Scope& s, const Glm4vConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer, c.attention(layer)),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_self_attn_layernorm(s / "post_self_attn_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        post_mlp_layernorm(s / "post_mlp_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + post_self_attn_layernorm(self_attn(input_layernorm(x), rope, positions));
    return x + post_mlp_layernorm(mlp(post_attention_layernorm(x)));
  }
};

struct Glm4vForConditionalGeneration : DenseDecoder<Glm4vConfig, Glm4vTextDecoderLayer> {
  static constexpr const char* kModelType = "glm4v";
  static constexpr const char* kArchitectures[] = {"Glm4vForConditionalGeneration"};

  Glm4vVisionModel visual;
  Glm4vForConditionalGeneration(const Scope& root, const Glm4vConfig& c)
      : DenseDecoder(root, c), visual(root / "visual", c.vision) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& inputs) const {
    return visual(inputs);
  }
};

// The tokens of a video are those of images, between the two that begin and end it.
class Glm4vProcessor : public QwenVlTimedProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Glm4vProcessor"};
  Glm4vProcessor(const Config& config, const Assets& assets)
      : QwenVlTimedProcessor(assets,
                             Glm4vVisionConfig::SideOfPositions(config.Object("vision_config")),
                             BicubicTaps, TextOfStep,
                             {.image_token = "<|image|>",
                              .video_token = "<|video|>",
                              .counts_frames = true,
                              .min_pixels = 112 * 112,
                              .max_pixels = 28 * 28 * 15000,
                              .counts_whole_steps = true,
                              .video_min_pixels = 112 * 112,
                              .video_max_pixels = 28 * 28 * 2 * 30000,
                              .video_begin = "<|begin_of_video|>",
                              .video_end = "<|end_of_video|>"}) {}

 private:
  static StepText TextOfStep(double first, double) {
    return {"<|begin_of_image|>", "<|end_of_image|>" + std::to_string(static_cast<int64_t>(first))};
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.glm4v", "0.1.0", keel::Glm4vForConditionalGeneration, keel::Glm4vProcessor);

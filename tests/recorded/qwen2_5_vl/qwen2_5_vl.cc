// Qwen2.5-VL (arXiv:2502.13923), as in transformers' models/qwen2_5_vl/modeling_qwen2_5_vl.py: a Qwen2 decoder whose
// rotary positions have a time, a height and a width, and a vision tower that attends within windows in most layers.
#include <algorithm>
#include <cmath>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/plugin.h"
#include "tests/recorded/qwen2_5_vl/processing_qwen2_5_vl.h"

namespace keel {
namespace {

struct Qwen2_5_VLVisionConfig {
  int64_t depth, hidden_size, intermediate_size, num_heads, in_channels, patch_size,
      temporal_patch_size, merge_unit, out_hidden_size;
  uint32_t hidden_act;
  std::vector<int64_t> fullatt_block_indexes;
  explicit Qwen2_5_VLVisionConfig(const Config& c)
      : depth(c.NumLayers("depth", 32)),
        hidden_size(c.Int("hidden_size", 3584)),
        intermediate_size(c.Int("intermediate_size", 3420)),
        num_heads(c.Int("num_heads", 16)),
        in_channels(c.Int("in_channels", 3)),
        patch_size(c.Int("patch_size", 14)),
        temporal_patch_size(c.Int("temporal_patch_size", 2)),
        merge_unit(c.Int("spatial_merge_size", 2) * c.Int("spatial_merge_size", 2)),
        out_hidden_size(c.Int("out_hidden_size", 3584)),
        hidden_act(c.Activation("hidden_act", "silu")),
        fullatt_block_indexes(c.Ints("fullatt_block_indexes")) {
    constexpr int64_t kMostHeadDim = 1 << 16;  // a constant holds the frequencies of a head
    if (num_heads < 1 || hidden_size % num_heads != 0 || head_dim() % 4 != 0 ||
        head_dim() > kMostHeadDim)
      c.Fail("hidden_size", "is " + std::to_string(hidden_size) + " for num_heads " +
                                std::to_string(num_heads) +
                                ", expected a multiple of 4 for each head, at most " +
                                std::to_string(kMostHeadDim));
  }
  int64_t head_dim() const { return hidden_size / num_heads; }
  int64_t patch_values() const {
    return in_channels * temporal_patch_size * patch_size * patch_size;
  }
};

struct Qwen2_5_VLConfig : DenseConfig {
  Qwen2_5_VLVisionConfig vision;
  WindowedLayers windows;
  std::vector<int64_t> mrope_section;
  bool nested;  // newer files have the decoder's keys in text_config
  explicit Qwen2_5_VLConfig(const Config& c) : Qwen2_5_VLConfig(c, c.Child("text_config")) {}

  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = true, .window = windows(layer)};
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim,
            .theta = rope_theta,
            .params = nested ? "text_config/rope_parameters" : nullptr,
            .num_sections = 3,
            .sections = {mrope_section[0], mrope_section[1], mrope_section[2]}};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.renames = {{.from = {"model\\.language_model\\.(.*)"}, .to = {"model.\\1"}},
                 {.from = {"model\\.visual\\.(.*)"}, .to = {"visual.\\1"}}};
    s.inputs = {{"forward", "positions", KEEL_I64, {3, -1}}};
    const int64_t unit = vision.merge_unit;  // -1: tokens, each of `unit` patches
    for (const char* tower : {"image", "video"}) {
      s.inputs.push_back(
          {tower, "pixel_values", KEEL_DTYPE_MODEL, {-1, vision.patch_values()}, {unit}});
      s.inputs.push_back({tower, "positions", KEEL_I64, {2, -1}, {1, unit}});
      s.inputs.push_back({tower, "window_index", KEEL_I64, {-1}});
      s.inputs.push_back({tower, "reverse_indices", KEEL_I64, {-1}});
      s.inputs.push_back({tower, "cu_seqlens", KEEL_I32, {-2}});
      s.inputs.push_back({tower, "cu_window_seqlens", KEEL_I32, {-3}});
    }
    return s;
  }

 private:
  Qwen2_5_VLConfig(const Config& c, const std::optional<Config>& text_config)
      : DenseConfig(text_config.value_or(c), {.rms_norm_eps = 1e-5, .rope_theta = 1000000}),
        vision(c.Object("vision_config")),
        windows(text_config.value_or(c)),
        nested(text_config.has_value()) {
    const Config text = text_config.value_or(c);
    tie_word_embeddings = c.Bool("tie_word_embeddings", false);
    const char* key = text.Has("rope_parameters") ? "rope_parameters/mrope_section"
                                                  : "rope_scaling/mrope_section";
    mrope_section = text.Ints(key);
    if (mrope_section.size() != 3) {
      text.Fail(key, "has " + std::to_string(mrope_section.size()) +
                         " numbers, expected 3: time, height, width");
      mrope_section = {1, 1, 1};
    }
    if (vision.out_hidden_size != hidden_size)
      c.Fail("vision_config/out_hidden_size",
             "is " + std::to_string(vision.out_hidden_size) +
                 ", expected hidden_size = " + std::to_string(hidden_size));
  }
};

struct Qwen2_5_VisionPatchEmbed {
  int64_t in_channels, temporal_patch_size, patch_size;
  Conv proj;
  Qwen2_5_VisionPatchEmbed(const Scope& s, const Qwen2_5_VLVisionConfig& c)
      : in_channels(c.in_channels),
        temporal_patch_size(c.temporal_patch_size),
        patch_size(c.patch_size),
        proj(s / "proj", {.ndim = 3,
                          .in = c.in_channels,
                          .out = c.hidden_size,
                          .kernel = {c.temporal_patch_size, c.patch_size, c.patch_size},
                          .stride = {c.temporal_patch_size, c.patch_size, c.patch_size}}) {}
  Tensor operator()(Tensor pixel_values) const {
    const Tensor patches =
        pixel_values.View({0, in_channels, temporal_patch_size, patch_size, patch_size});
    return proj(patches).View({0, -1});
  }
};

struct Qwen2_5_VLVisionAttention {
  int64_t dim, head_dim;
  Linear qkv, proj;
  Attention attn;
  Qwen2_5_VLVisionAttention(const Scope& s, const Qwen2_5_VLVisionConfig& c)
      : dim(c.hidden_size),
        head_dim(c.head_dim()),
        qkv(s / "qkv", dim, dim * 3, true),
        proj(s / "proj", dim, dim, true),
        attn(s, {.kind = KEEL_ATTENTION_ENCODER,
                 .heads = c.num_heads,
                 .kv_heads = c.num_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor cu_seqlens) const {
    const std::vector<Tensor> states = qkv(x).Split({dim, dim, dim});
    const Tensor q = rope(states[0].Heads(head_dim), positions);
    const Tensor k = rope(states[1].Heads(head_dim), positions);
    return proj(attn(q, k, states[2].Heads(head_dim), {{"segments", cu_seqlens}}).Flat());
  }
};

struct Qwen2_5_VLVisionBlock {
  RmsNorm norm1, norm2;
  Qwen2_5_VLVisionAttention attn;
  GatedMlp mlp;
  Qwen2_5_VLVisionBlock(const Scope& s, const Qwen2_5_VLVisionConfig& c)
      : norm1(s / "norm1", c.hidden_size, 1e-6),
        norm2(s / "norm2", c.hidden_size, 1e-6),
        attn(s / "attn", c),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act, true) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor cu_seqlens) const {
    x = x + attn(norm1(x), rope, positions, cu_seqlens);
    return x + mlp(norm2(x));
  }
};

struct Qwen2_5_VLPatchMerger {
  int64_t hidden_size;
  RmsNorm ln_q;
  Linear mlp_0, mlp_2;
  Qwen2_5_VLPatchMerger(const Scope& s, const Qwen2_5_VLVisionConfig& c)
      : hidden_size(c.hidden_size * c.merge_unit),
        ln_q(s / "ln_q", c.hidden_size, 1e-6),
        mlp_0(s / "mlp" / 0, hidden_size, hidden_size, true),
        mlp_2(s / "mlp" / 2, hidden_size, c.out_hidden_size, true) {}
  Tensor operator()(Tensor x) const {
    return mlp_2(mlp_0(ln_q(x).View({-1, hidden_size})).Act(KEEL_ACT_GELU));
  }
};

// Height and width have the same frequencies, those of half a head.
std::vector<double> AxialFrequencies(int64_t head_dim) {
  const int64_t section = head_dim / 4;
  std::vector<double> out;
  for (int64_t i = 0; i < 2 * section; ++i)
    out.push_back(
        std::pow(10000.0, -static_cast<double>(i % section) / static_cast<double>(section)));
  return out;
}

struct Qwen2_5_VisionTransformer {
  int64_t hidden_size, merge_unit;
  std::vector<int64_t> fullatt_block_indexes;
  Qwen2_5_VisionPatchEmbed patch_embed;
  Rope rotary_pos_emb;
  std::vector<Qwen2_5_VLVisionBlock> blocks;
  Qwen2_5_VLPatchMerger merger;
  Qwen2_5_VisionTransformer(const Scope& s, const Qwen2_5_VLVisionConfig& c)
      : hidden_size(c.hidden_size),
        merge_unit(c.merge_unit),
        fullatt_block_indexes(c.fullatt_block_indexes),
        patch_embed(s / "patch_embed", c),
        rotary_pos_emb(s,
                       {.head_dim = c.head_dim(),
                        .flags = KEEL_ROPE_FP32,
                        .num_sections = 2,
                        .sections = {c.head_dim() / 4, c.head_dim() / 4}},
                       AxialFrequencies(c.head_dim())),
        merger(s / "merger", c) {
    for (int64_t i = 0; i < c.depth; ++i) blocks.emplace_back(s / "blocks" / i, c);
  }

  // `in`: as the spec declares them. Positions come in the order of windows, pixels in the image's.
  Tensor operator()(const std::vector<Tensor>& in) const {
    const Tensor pixel_values = in[0], positions = in[1], window_index = in[2],
                 reverse_indices = in[3], cu_seqlens = in[4], cu_window_seqlens = in[5];
    const Tensor patches = patch_embed(pixel_values);
    Tensor x = patches.View({-1, merge_unit * hidden_size}).Rows(window_index);
    x = x.View({-1, hidden_size});
    for (size_t i = 0; i < blocks.size(); ++i) {
      const bool full = std::count(fullatt_block_indexes.begin(), fullatt_block_indexes.end(), i);
      x = blocks[i](x, rotary_pos_emb, positions, full ? cu_seqlens : cu_window_seqlens);
    }
    return merger(x).Rows(reverse_indices);
  }
};

struct Qwen2_5_VLForConditionalGeneration : DenseDecoder<Qwen2_5_VLConfig> {
  static constexpr const char* kModelType = "qwen2_5_vl";
  static constexpr const char* kArchitectures[] = {"Qwen2_5_VLForConditionalGeneration"};

  Qwen2_5_VisionTransformer visual;
  Qwen2_5_VLForConditionalGeneration(const Scope& root, const Qwen2_5_VLConfig& c)
      : DenseDecoder(root, c), visual(root / "visual", c.vision) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& inputs) const {
    return visual(inputs);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen2_5_vl", "0.1.0", keel::Qwen2_5_VLForConditionalGeneration,
            keel::Qwen2_5_VLProcessor);

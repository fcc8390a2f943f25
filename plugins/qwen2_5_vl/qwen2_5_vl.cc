// Qwen2.5-VL (arXiv:2502.13923), as in transformers' models/qwen2_5_vl/modeling_qwen2_5_vl.py: Qwen2-VL with a vision tower
// that attends within windows in most layers, and has the norms and MLPs of its decoder.
#include <algorithm>

#include "plugins/qwen2_5_vl/processing_qwen2_5_vl.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/blocks/patches.h"
#include "sdk/keel/blocks/qwen_vl.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen2_5_VLVisionConfig : PatchSizes {
  int64_t depth, intermediate_size, out_hidden_size;
  uint32_t hidden_act;
  std::vector<int64_t> fullatt_block_indexes;
  explicit Qwen2_5_VLVisionConfig(const Config& c)
      : PatchSizes(c, c.Int("hidden_size", 3584), "hidden_size", 14),
        depth(c.NumLayers("depth", 32)),
        intermediate_size(c.Int("intermediate_size", 3420)),
        out_hidden_size(c.Int("out_hidden_size", 3584)),
        hidden_act(c.Activation("hidden_act", "silu")),
        fullatt_block_indexes(c.Has("fullatt_block_indexes")
                                  ? c.Ints("fullatt_block_indexes")
                                  : std::vector<int64_t>{7, 15, 23, 31}) {}
};

struct Qwen2_5_VLConfig : QwenVlConfig {
  Qwen2_5_VLVisionConfig vision;
  explicit Qwen2_5_VLConfig(const Config& c) : QwenVlConfig(c), vision(c.Object("vision_config")) {
    if (vision.out_hidden_size != hidden_size)
      c.Fail("vision_config/out_hidden_size",
             "is " + std::to_string(vision.out_hidden_size) +
                 ", expected hidden_size = " + std::to_string(hidden_size));
  }
  Spec spec() const {
    Spec s = WithPatches(vision);
    for (const char* tower : {"image", "video"}) {
      for (const char* order : {"window_index", "reverse_indices"})  // of tokens
        s.inputs.push_back({tower, order, KEEL_I64, {-1}, {}, {KEEL_MERGE_INDICES, -1}});
      s.inputs.push_back({tower, "cu_window_seqlens", KEEL_I32, {-3}, {}, {KEEL_MERGE_BORDERS}});
    }
    return s;
  }
};

struct Qwen2_5_VLVisionBlock {
  RmsNorm norm1, norm2;
  PatchAttention attn;
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

struct Qwen2_5_VisionTransformer {
  int64_t hidden_size, merge_unit;
  std::vector<int64_t> fullatt_block_indexes;
  PatchEmbed patch_embed;
  Rope rotary_pos_emb;
  std::vector<Qwen2_5_VLVisionBlock> blocks;
  PatchMerger merger;
  Qwen2_5_VisionTransformer(const Scope& s, const Qwen2_5_VLVisionConfig& c)
      : hidden_size(c.hidden_size),
        merge_unit(c.merge_unit),
        fullatt_block_indexes(c.fullatt_block_indexes),
        patch_embed(s / "patch_embed", c),
        rotary_pos_emb(AxialRope(s, c.head_dim())),
        merger(s / "merger", c, RmsNorm::Desc(c.hidden_size, 1e-6), c.out_hidden_size) {
    for (int64_t i = 0; i < c.depth; ++i) blocks.emplace_back(s / "blocks" / i, c);
  }

  // `in`: as the spec declares them. Positions come in the order of windows, pixels in the image's.
  Tensor operator()(const std::vector<Tensor>& in) const {
    const Tensor pixel_values = in[0], positions = in[1], cu_seqlens = in[2], window_index = in[3],
                 reverse_indices = in[4], cu_window_seqlens = in[5];
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

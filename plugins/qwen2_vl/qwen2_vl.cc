// Qwen2-VL (arXiv:2409.12191), as in transformers' models/qwen2_vl/modeling_qwen2_vl.py: a Qwen2 decoder whose rotary
// positions have a time, a height and a width, and a vision tower over images of any size.
#include "sdk/keel/blocks/patches.h"
#include "sdk/keel/blocks/qwen_vl.h"
#include "sdk/keel/blocks/qwen_vl_processor.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen2VLVisionConfig : PatchSizes {
  int64_t depth, mlp_ratio;
  uint32_t hidden_act;
  explicit Qwen2VLVisionConfig(const Config& c)
      : PatchSizes(c, c.Int("embed_dim", 1280), "embed_dim", 14),
        depth(c.NumLayers("depth", 32)),
        mlp_ratio(c.Int("mlp_ratio", 4)),
        hidden_act(c.Activation("hidden_act", "quick_gelu")) {}
};

struct Qwen2VLConfig : QwenVlConfig {
  Qwen2VLVisionConfig vision;
  explicit Qwen2VLConfig(const Config& c) : QwenVlConfig(c), vision(c.Object("vision_config")) {
    const int64_t out = c.Int("vision_config/hidden_size", 3584);
    if (out != hidden_size)
      c.Fail("vision_config/hidden_size",
             "is " + std::to_string(out) +
                 ", expected the decoder's hidden_size = " + std::to_string(hidden_size));
  }
  Spec spec() const { return WithPatches(vision); }
};

struct VisionMlp {
  Linear fc1, fc2;
  uint32_t act;
  VisionMlp(const Scope& s, const Qwen2VLVisionConfig& c)
      : fc1(s / "fc1", c.hidden_size, c.hidden_size * c.mlp_ratio, true),
        fc2(s / "fc2", c.hidden_size * c.mlp_ratio, c.hidden_size, true),
        act(c.hidden_act) {}
  Tensor operator()(Tensor x) const { return fc2(fc1(x).Act(act)); }
};

struct Qwen2VLVisionBlock {
  LayerNorm norm1, norm2;
  PatchAttention attn;
  VisionMlp mlp;
  Qwen2VLVisionBlock(const Scope& s, const Qwen2VLVisionConfig& c)
      : norm1(s / "norm1", c.hidden_size, 1e-6),
        norm2(s / "norm2", c.hidden_size, 1e-6),
        attn(s / "attn", c),
        mlp(s / "mlp", c) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor cu_seqlens) const {
    x = x + attn(norm1(x), rope, positions, cu_seqlens);
    return x + mlp(norm2(x));
  }
};

struct Qwen2VisionTransformer {
  PatchEmbed patch_embed;
  Rope rotary_pos_emb;
  std::vector<Qwen2VLVisionBlock> blocks;
  PatchMerger merger;
  Qwen2VisionTransformer(const Scope& s, const Qwen2VLConfig& c)
      : patch_embed(s / "patch_embed", c.vision),
        rotary_pos_emb(AxialRope(s, c.vision.head_dim())),
        merger(s / "merger", c.vision, LayerNorm::Desc(c.vision.hidden_size, 1e-6), c.hidden_size) {
    for (int64_t i = 0; i < c.vision.depth; ++i) blocks.emplace_back(s / "blocks" / i, c.vision);
  }
  // `in`: pixel_values, positions, cu_seqlens.
  Tensor operator()(const std::vector<Tensor>& in) const {
    Tensor x = patch_embed(in[0]);
    for (const Qwen2VLVisionBlock& block : blocks) x = block(x, rotary_pos_emb, in[1], in[2]);
    return merger(x);
  }
};

struct Qwen2VLForConditionalGeneration : DenseDecoder<Qwen2VLConfig> {
  static constexpr const char* kModelType = "qwen2_vl";
  static constexpr const char* kArchitectures[] = {"Qwen2VLForConditionalGeneration"};

  Qwen2VisionTransformer visual;
  Qwen2VLForConditionalGeneration(const Scope& root, const Qwen2VLConfig& c)
      : DenseDecoder(root, c), visual(root / "visual", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& inputs) const {
    return visual(inputs);
  }
};

class Qwen2VLProcessor : public QwenVlProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen2VLProcessor"};
  Qwen2VLProcessor(const Config&, const Assets& assets) : QwenVlProcessor(assets) {}

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const std::vector<keel_media_count> grids = PutPatches(items, inputs);
    PutPositions(PatchesInOrder(grids), inputs);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen2_vl", "0.1.0", keel::Qwen2VLForConditionalGeneration,
            keel::Qwen2VLProcessor);

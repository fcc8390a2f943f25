// Qwen3-VL (arXiv:2511.21631), as in transformers' models/qwen3_vl/modeling_qwen3_vl.py: a Qwen3 decoder whose rotary
// positions have a time, a height and a width, and a vision tower some of whose layers speak to the decoder's first ones
// (DeepStack, arXiv:2406.04334).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/qwen3_vl/processing_qwen3_vl.h"
#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/patches.h"
#include "sdk/keel/blocks/qwen_vl.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen3VLVisionConfig : PatchSizes {
  int64_t depth, intermediate_size, out_hidden_size, num_position_embeddings;
  uint32_t hidden_act;
  std::vector<int64_t> deepstack_visual_indexes;
  explicit Qwen3VLVisionConfig(const Config& c)
      : PatchSizes(c, c.Int("hidden_size", 1152), "hidden_size", 16),
        depth(c.NumLayers("depth", 27)),
        intermediate_size(c.Int("intermediate_size", 4304)),
        out_hidden_size(c.Int("out_hidden_size", 3584)),
        num_position_embeddings(c.Int("num_position_embeddings", 2304)),
        hidden_act(c.Activation("hidden_act", "gelu_pytorch_tanh")),
        deepstack_visual_indexes(c.Has("deepstack_visual_indexes")
                                     ? c.Ints("deepstack_visual_indexes")
                                     : std::vector<int64_t>{8, 16, 24}) {
    int64_t before = -1;
    for (const int64_t layer : deepstack_visual_indexes) {
      if (layer <= before || layer >= depth)
        c.Fail("deepstack_visual_indexes", "has " + std::to_string(layer) +
                                               ", expected ascending layers of the tower, 0 to " +
                                               std::to_string(depth - 1));
      before = layer;
    }
  }
};

struct Qwen3VLConfig : QwenVlConfig {
  Qwen3VLVisionConfig vision;
  bool attention_bias;
  explicit Qwen3VLConfig(const Config& c)
      : QwenVlConfig(c,
                     {.vocab_size = 151936,
                      .hidden_size = 4096,
                      .intermediate_size = 22016,
                      .num_hidden_layers = 32,
                      .num_attention_heads = 32,
                      .num_key_value_heads = 32,
                      .head_dim = 128,
                      .max_position_embeddings = 128000,
                      .rope_theta = 500000},
                     {24, 20, 20}),
        vision(c.Object("vision_config")),
        attention_bias(c.Bool("text_config/attention_bias", false)) {
    if (vision.out_hidden_size != hidden_size)
      c.Fail("vision_config/out_hidden_size",
             "is " + std::to_string(vision.out_hidden_size) +
                 ", expected hidden_size = " + std::to_string(hidden_size));
    if (static_cast<int64_t>(vision.deepstack_visual_indexes.size()) > num_hidden_layers)
      c.Fail("vision_config/deepstack_visual_indexes", "has more entries than the decoder layers");
  }
  RopeAttention::Options attention(int) const {
    return {.qkv_bias = attention_bias,
            .output_bias = attention_bias,
            .qk_norm = RmsNorm::Desc(head_dim, rms_norm_eps)};
  }
  keel_rope_desc rope() const {
    keel_rope_desc desc = QwenVlConfig::rope();
    desc.flags = KEEL_ROPE_SECTIONS_INTERLEAVED;
    return desc;
  }
  Spec spec() const {
    Spec s = WithPatches(vision);
    for (const char* tower : {"image", "video"}) {
      for (const Spec::Input& input : InterpolationInputs(tower, 4, vision.merge_unit))
        s.inputs.push_back(input);
    }
    for (size_t i = 0; i < vision.deepstack_visual_indexes.size(); ++i)
      s.inputs.push_back({"forward", MoreFeatures(i), KEEL_DTYPE_MODEL, {-1, hidden_size}});
    return s;
  }
};

struct Qwen3VLVisionMLP {
  Linear linear_fc1, linear_fc2;
  uint32_t act;
  Qwen3VLVisionMLP(const Scope& s, const Qwen3VLVisionConfig& c)
      : linear_fc1(s / "linear_fc1", c.hidden_size, c.intermediate_size, true),
        linear_fc2(s / "linear_fc2", c.intermediate_size, c.hidden_size, true),
        act(c.hidden_act) {}
  Tensor operator()(Tensor x) const { return linear_fc2(linear_fc1(x).Act(act)); }
};

struct Qwen3VLVisionBlock {
  LayerNorm norm1, norm2;
  PatchAttention attn;
  Qwen3VLVisionMLP mlp;
  Qwen3VLVisionBlock(const Scope& s, const Qwen3VLVisionConfig& c)
      : norm1(s / "norm1", c.hidden_size, 1e-6),
        norm2(s / "norm2", c.hidden_size, 1e-6),
        attn(s / "attn", c),
        mlp(s / "mlp", c) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor cu_seqlens) const {
    x = x + attn(norm1(x), rope, positions, cu_seqlens);
    return x + mlp(norm2(x));
  }
};

struct Qwen3VLVisionPatchMerger {
  int64_t hidden_size;
  bool use_postshuffle_norm;
  LayerNorm norm;
  Linear linear_fc1, linear_fc2;
  Qwen3VLVisionPatchMerger(const Scope& s, const Qwen3VLVisionConfig& c, bool postshuffle)
      : hidden_size(c.hidden_size * c.merge_unit),
        use_postshuffle_norm(postshuffle),
        norm(s / "norm", postshuffle ? hidden_size : c.hidden_size, 1e-6),
        linear_fc1(s / "linear_fc1", hidden_size, hidden_size, true),
        linear_fc2(s / "linear_fc2", hidden_size, c.out_hidden_size, true) {}
  Tensor operator()(Tensor x) const {
    x = use_postshuffle_norm ? norm(x.View({-1, hidden_size})) : norm(x).View({-1, hidden_size});
    return linear_fc2(linear_fc1(x).Act(KEEL_ACT_GELU));
  }
};

struct Qwen3VLVisionModel {
  std::vector<int64_t> deepstack_visual_indexes;
  PatchEmbed patch_embed;
  InterpolatedPositions pos_embed;
  Rope rotary_pos_emb;
  std::vector<Qwen3VLVisionBlock> blocks;
  Qwen3VLVisionPatchMerger merger;
  std::vector<Qwen3VLVisionPatchMerger> deepstack_merger_list;
  Qwen3VLVisionModel(const Scope& s, const Qwen3VLVisionConfig& c)
      : deepstack_visual_indexes(c.deepstack_visual_indexes),
        patch_embed(s / "patch_embed", c, true),
        pos_embed(s / "pos_embed", c.num_position_embeddings, c.hidden_size),
        rotary_pos_emb(AxialRope(s, c.head_dim())),
        merger(s / "merger", c, false) {
    for (int64_t i = 0; i < c.depth; ++i) blocks.emplace_back(s / "blocks" / i, c);
    for (size_t i = 0; i < deepstack_visual_indexes.size(); ++i) {
      deepstack_merger_list.emplace_back(s / "deepstack_merger_list" / static_cast<int64_t>(i), c,
                                         true);
    }
  }
  // The features, and those that the decoder's layers add. `in`: as the spec declares them.
  std::vector<Tensor> operator()(const std::vector<Tensor>& in) const {
    const Tensor pixel_values = in[0], positions = in[1], cu_seqlens = in[2],
                 interp_indices = in[3], interp_weights = in[4];
    Tensor x = patch_embed(pixel_values) + pos_embed(interp_indices, interp_weights);
    std::vector<Tensor> deepstack;
    for (size_t i = 0; i < blocks.size(); ++i) {
      x = blocks[i](x, rotary_pos_emb, positions, cu_seqlens);
      const size_t next = deepstack.size();
      if (next < deepstack_merger_list.size() &&
          deepstack_visual_indexes[next] == static_cast<int64_t>(i))
        deepstack.push_back(deepstack_merger_list[next](x));
    }
    deepstack.insert(deepstack.begin(), merger(x));
    return deepstack;
  }
};

// The decoder's layer, behind which features of the tower's are added in the first ones.
struct Qwen3VLTextDecoderLayer : DenseLayer {
  size_t index;
  Qwen3VLTextDecoderLayer(const Scope& s, const Qwen3VLConfig& c, int layer)
      : DenseLayer(s, c, layer), index(static_cast<size_t>(layer)) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions,
                    const std::vector<Tensor>& deepstack) const {
    x = DenseLayer::operator()(x, rope, positions);
    return index < deepstack.size() ? x + deepstack[index] : x;
  }
};

struct Qwen3VLForConditionalGeneration : DenseDecoder<Qwen3VLConfig, Qwen3VLTextDecoderLayer> {
  static constexpr const char* kModelType = "qwen3_vl";
  static constexpr const char* kArchitectures[] = {"Qwen3VLForConditionalGeneration"};

  Qwen3VLVisionModel visual;
  Qwen3VLForConditionalGeneration(const Scope& root, const Qwen3VLConfig& c)
      : DenseDecoder(root, c), visual(root / "visual", c.vision) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions, in.extras));
  }
  std::vector<Tensor> Encode(std::string_view, const std::vector<Tensor>& inputs) const {
    return visual(inputs);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen3_vl", "0.1.0", keel::Qwen3VLForConditionalGeneration,
            keel::Qwen3VLProcessor);

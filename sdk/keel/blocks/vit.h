// The vision transformers of CLIP (arXiv:2103.00020) and SigLIP (arXiv:2303.15343): tiles of one size, cut into patches,
// each tile by itself.
//
//   #include "sdk/keel/blocks/vit.h"
//   using namespace keel;
//
//   struct MyTower {  // features of the patches, without the row of the class
//     Vit vision_tower;
//     MyTower(const Scope& root, const Config& c)
//         : vision_tower(root / "vision_tower", VitConfig(c.Object("vision_config"), ClipVit()), -1) {}
//     Tensor Encode(const std::vector<Tensor>& in) const {  // pixel_values, segments
//       return vision_tower.Patches(vision_tower(in[0], in[1]));
//     }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_VIT_H_
#define KEEL_SDK_KEEL_BLOCKS_VIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// What a configuration class has where the file leaves a key out.
struct VitDefaults {
  int64_t hidden_size = 768, intermediate_size = 3072, num_hidden_layers = 12,
          num_attention_heads = 12, image_size = 224, patch_size = 16;
  double layer_norm_eps = 1e-6;
  const char* hidden_act = "gelu_pytorch_tanh";
  bool has_class =
      false;  // CLIP: a row before the patches, a norm before the layers, no bias of patches
};

inline VitDefaults ClipVit() {
  return {.patch_size = 32, .layer_norm_eps = 1e-5, .hidden_act = "quick_gelu", .has_class = true};
}

inline VitDefaults InternVit() {
  return {.hidden_size = 1024,
          .intermediate_size = 4096,
          .num_hidden_layers = 24,
          .num_attention_heads = 16,
          .image_size = 448,
          .patch_size = 14,
          .hidden_act = "gelu",
          .has_class = true};
}

struct VitConfig {
  int64_t hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, image_size,
      patch_size, side, patches;  // side: patches of a row
  double layer_norm_eps;
  uint32_t hidden_act;
  bool has_class;
  VitConfig(const Config& c, const VitDefaults& d)
      : hidden_size(c.Int("hidden_size", d.hidden_size)),
        intermediate_size(c.Int("intermediate_size", d.intermediate_size)),
        num_hidden_layers(c.NumLayers("num_hidden_layers", d.num_hidden_layers)),
        num_attention_heads(c.Int("num_attention_heads", d.num_attention_heads)),
        image_size(Side(c, "image_size", d.image_size)),
        patch_size(Side(c, "patch_size", d.patch_size)),
        layer_norm_eps(c.Real("layer_norm_eps", d.layer_norm_eps)),
        hidden_act(c.Activation("hidden_act", d.hidden_act)),
        has_class(d.has_class) {
    constexpr int64_t kMost = 1 << 15;
    if (num_attention_heads < 1 || hidden_size % num_attention_heads != 0)
      c.Fail("num_attention_heads", "is " + std::to_string(num_attention_heads) +
                                        ", expected a number that divides hidden_size");
    if (patch_size < 1 || image_size < patch_size || image_size > kMost) {
      c.Fail("patch_size",
             "is " + std::to_string(patch_size) + " for image_size " + std::to_string(image_size) +
                 ", expected 1 to image_size, which is " + std::to_string(kMost) + " at most");
      patch_size = image_size = 1;
    }
    if (c.Int("num_channels", 3) != 3) c.Fail("num_channels", "is not 3, which images have");
    side = image_size / patch_size;
    patches = side * side;
  }
  int64_t rows() const { return patches + (has_class ? 1 : 0); }  // of a tile

  // Inputs of encode that a Vit takes: tiles, and where each one's rows begin.
  std::vector<Spec::Input> inputs() const {
    return {{"image",
             "pixel_values",
             KEEL_DTYPE_MODEL,
             {-1, 3, image_size, image_size},
             {},
             {KEEL_MERGE_ROWS}},
            {"image", "segments", KEEL_I32, {-2}, {}, {KEEL_MERGE_BORDERS}}};
  }

 private:
  // A number, or two that are equal.
  static int64_t Side(const Config& c, const std::string& key, int64_t dflt) {
    if (!c.IsArray(key.c_str())) return c.Int(key.c_str(), dflt);
    const std::vector<int64_t> sides = c.Ints(key.c_str());
    if (sides.size() == 2 && sides[0] == sides[1]) return sides[0];
    c.Fail(key.c_str(), "is a list, expected a number, or two that are equal");
    return dflt;
  }
};

// [0, rows, 2 rows ...]: `segments` of so many tiles.
inline std::vector<int32_t> TileBorders(int64_t tiles, int64_t rows) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i <= tiles; ++i) out.push_back(static_cast<int32_t>(i * rows));
  return out;
}

struct VitLayer {
  int64_t head_dim;
  uint32_t act;
  Linear q_proj, k_proj, v_proj, out_proj, fc1, fc2;
  Attention attn;
  LayerNorm layer_norm1, layer_norm2;
  VitLayer(const Scope& s, const VitConfig& c)
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
        layer_norm1(s / "layer_norm1", c.hidden_size, c.layer_norm_eps),
        layer_norm2(s / "layer_norm2", c.hidden_size, c.layer_norm_eps) {}
  Tensor operator()(Tensor x, Tensor segments) const {
    const Tensor h = layer_norm1(x);
    x = x + out_proj(attn(q_proj(h).Heads(head_dim), k_proj(h).Heads(head_dim),
                          v_proj(h).Heads(head_dim), {{"segments", segments}})
                         .Flat());
    return x + fc2(fc1(layer_norm2(x)).Act(act));
  }
};

// Squares of factor x factor neighbours become one row: [B * side * side, size] -> [B * (side / factor)^2, size * factor^2].
inline Tensor PixelShuffle(Tensor x, int64_t side, int64_t factor) {
  const int64_t few = side / factor;
  // [B, few, factor, few, factor * size]: what is above each other comes side by side.
  const Tensor lines = x.View({-1, factor, few, factor * x.Dim(-1)}).Permute({0, 2, 1, 3});
  return lines.View({-1, factor * factor * x.Dim(-1)});
}

// Drops what a checkpoint has of a tower and no feature comes from: all but the first `num_layers` of the layers, the norm
// behind them, buffers of old files.
inline Rename UnusedVitLayers(const std::string& scope, const VitConfig& c, int64_t num_layers) {
  std::string unused = scope + R"(\.(?:post_layernorm|embeddings\.position_ids|head)";
  for (int64_t i = num_layers; i < c.num_hidden_layers; ++i)
    unused += R"(|encoder\.layers\.)" + std::to_string(i);
  return {.op = KEEL_RENAME_IGNORE, .from = {unused + R"()(?:\..*)?)"}, .to = {}};
}

// Drops what no feature comes from where all layers run: the head that pools, buffers of old files.
inline Rename UnusedVitHead(const std::string& scope) {
  return {.op = KEEL_RENAME_IGNORE,
          .from = {scope + R"(\.(?:head|embeddings\.position_ids)(?:\..*)?)"},
          .to = {}};
}

class Vit {
 public:
  // The first `num_layers` of the layers; -1: all of them, and SigLIP's norm behind them.
  Vit(const Scope& s, const VitConfig& config, int64_t num_layers)
      : c_(config),
        patch_embedding_(s / "embeddings" / "patch_embedding",
                         {.ndim = 2,
                          .in = 3,
                          .out = c_.hidden_size,
                          .kernel = {c_.patch_size, c_.patch_size},
                          .stride = {c_.patch_size, c_.patch_size},
                          .flags = c_.has_class ? 0 : KEEL_CONV_BIAS}),
        position_embedding_(s / "embeddings" / "position_embedding" / "weight",
                            {c_.rows(), c_.hidden_size}) {
    if (c_.has_class) {
      class_embedding_.emplace(s / "embeddings" / "class_embedding",
                               std::initializer_list<int64_t>{c_.hidden_size});
      pre_layrnorm_.emplace(s / "pre_layrnorm", c_.hidden_size, c_.layer_norm_eps);
    }
    const bool whole = num_layers < 0;
    for (int64_t i = 0; i < (whole ? c_.num_hidden_layers : num_layers); ++i)
      layers_.emplace_back(s / "encoder" / "layers" / i, c_);
    if (whole && !c_.has_class)
      post_layernorm_.emplace(s / "post_layernorm", c_.hidden_size, c_.layer_norm_eps);
  }

  // Tiles [B, 3, size, size] -> [B * rows, hidden_size].
  Tensor operator()(Tensor pixels, Tensor segments) const {
    Tensor x = patch_embedding_(pixels).View({0, c_.hidden_size, c_.patches}).Permute({0, 2, 1});
    if (class_embedding_) {
      const Tensor row = (*class_embedding_)(pixels.run).View({1, 1, c_.hidden_size});
      x = Cat({row.ExpandAs(x.Narrow(1, 0, 1)), x}, 1);
    }
    x = (x + position_embedding_(pixels.run)).View({-1, c_.hidden_size});
    if (pre_layrnorm_) x = (*pre_layrnorm_)(x);
    for (const VitLayer& layer : layers_) x = layer(x, segments);
    return post_layernorm_ ? (*post_layernorm_)(x) : x;
  }

  // Without the rows of the class: [B * patches, hidden_size].
  Tensor Patches(Tensor x) const {
    if (!c_.has_class) return x;
    const Tensor tiles = x.View({-1, c_.rows(), c_.hidden_size});
    return tiles.Narrow(1, 1, c_.patches).View({-1, c_.hidden_size});
  }

 private:
  VitConfig c_;
  Conv patch_embedding_;
  Param position_embedding_;
  std::optional<Param> class_embedding_;
  std::optional<LayerNorm> pre_layrnorm_, post_layernorm_;
  std::vector<VitLayer> layers_;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_VIT_H_

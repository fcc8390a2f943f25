// Towers over the patches of images of any size: their embedding, attention with positions in rows and columns, and the
// merging of neighbours (Qwen2-VL, arXiv:2409.12191).
//
//   #include "sdk/keel/blocks/patches.h"
//   using namespace keel;
//
//   struct MyTower {
//     PatchEmbed patch_embed;
//     Rope rotary_pos_emb;
//     PatchAttention attn;
//     PatchMerger merger;
//     MyTower(const Scope& s, const PatchSizes& c)
//         : patch_embed(s / "patch_embed", c),
//           rotary_pos_emb(AxialRope(s, c.head_dim())),
//           attn(s / "attn", c),
//           merger(s / "merger", c, LayerNorm::Desc(c.hidden_size, 1e-6), 64) {}
//     Tensor operator()(Tensor pixel_values, Tensor positions, Tensor segments) const {
//       const Tensor x = patch_embed(pixel_values);
//       return merger(x + attn(x, rotary_pos_emb, positions, segments));
//     }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_PATCHES_H_
#define KEEL_SDK_KEEL_BLOCKS_PATCHES_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// What a tower's patches are, and the heads that look at them.
struct PatchSizes {
  int64_t hidden_size, num_heads, in_channels, patch_size, temporal_patch_size, merge_unit;

  // `hidden_size`: the tower's, of keys that differ from family to family.
  PatchSizes(const Config& c, int64_t size, const char* size_key, int64_t patch, int64_t heads = 16)
      : hidden_size(size),
        num_heads(c.Int("num_heads", heads)),
        in_channels(c.Int("in_channels", 3)),
        patch_size(c.Int("patch_size", patch)),
        temporal_patch_size(c.Int("temporal_patch_size", 2)),
        merge_unit(c.Int("spatial_merge_size", 2) * c.Int("spatial_merge_size", 2)) {
    constexpr int64_t kMostHeadDim = 1 << 16;  // a constant holds the frequencies of a head
    if (num_heads < 1 || hidden_size % num_heads != 0 || head_dim() % 4 != 0 ||
        head_dim() > kMostHeadDim)
      c.Fail(size_key, "is " + std::to_string(hidden_size) + " for num_heads " +
                           std::to_string(num_heads) +
                           ", expected a multiple of 4 for each head, at most " +
                           std::to_string(kMostHeadDim));
  }
  int64_t head_dim() const { return hidden_size / num_heads; }
  int64_t patch_values() const {
    return in_channels * temporal_patch_size * patch_size * patch_size;
  }
};

// Patches [N, patch_values] -> [N, hidden_size].
struct PatchEmbed {
  int64_t in_channels, temporal_patch_size, patch_size;
  Conv proj;
  PatchEmbed(const Scope& s, const PatchSizes& c, bool bias = false)
      : in_channels(c.in_channels),
        temporal_patch_size(c.temporal_patch_size),
        patch_size(c.patch_size),
        proj(s / "proj", {.ndim = 3,
                          .in = c.in_channels,
                          .out = c.hidden_size,
                          .kernel = {c.temporal_patch_size, c.patch_size, c.patch_size},
                          .stride = {c.temporal_patch_size, c.patch_size, c.patch_size},
                          .flags = bias ? KEEL_CONV_BIAS : 0}) {}
  Tensor operator()(Tensor pixel_values) const {
    const Tensor patches =
        pixel_values.View({0, in_channels, temporal_patch_size, patch_size, patch_size});
    return proj(patches).View({0, -1});
  }
};

// Rotates by positions [2, N], row and column: each has the frequencies of half a head.
inline Rope AxialRope(const Scope& s, int64_t head_dim) {
  const int64_t section = head_dim / 4;
  std::vector<double> frequencies;
  for (int64_t i = 0; i < 2 * section; ++i) {
    frequencies.push_back(
        std::pow(10000.0, -static_cast<double>(i % section) / static_cast<double>(section)));
  }
  return Rope(s,
              {.head_dim = head_dim,
               .flags = KEEL_ROPE_FP32,
               .num_sections = 2,
               .sections = {section, section}},
              frequencies);
}

// Each patch sees those of its segment (an image, or a window of one).
struct PatchAttention {
  int64_t dim, head_dim;
  Linear qkv, proj;
  Attention attn;
  struct Options {
    bool qkv_bias = true, proj_bias = true;
  };
  PatchAttention(const Scope& s, const PatchSizes& c) : PatchAttention(s, c, Options()) {}
  PatchAttention(const Scope& s, const PatchSizes& c, const Options& o)
      : dim(c.hidden_size),
        head_dim(c.head_dim()),
        qkv(s / "qkv", dim, dim * 3, o.qkv_bias),
        proj(s / "proj", dim, dim, o.proj_bias),
        attn(s, {.kind = KEEL_ATTENTION_ENCODER,
                 .heads = c.num_heads,
                 .kv_heads = c.num_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions, Tensor segments) const {
    const std::vector<Tensor> states = qkv(x).Split({dim, dim, dim});
    const Tensor q = rope(states[0].Heads(head_dim), positions);
    const Tensor k = rope(states[1].Heads(head_dim), positions);
    return proj(attn(q, k, states[2].Heads(head_dim), {{"segments", segments}}).Flat());
  }
};

// merge_unit neighbours, one after the other, become one row of `out` values.
struct PatchMerger {
  int64_t hidden_size;
  Norm ln_q;
  Linear mlp_0, mlp_2;
  PatchMerger(const Scope& s, const PatchSizes& c, const keel_norm_desc& norm, int64_t out)
      : hidden_size(c.hidden_size * c.merge_unit),
        ln_q(s / "ln_q", norm),
        mlp_0(s / "mlp" / 0, hidden_size, hidden_size, true),
        mlp_2(s / "mlp" / 2, hidden_size, out, true) {}
  Tensor operator()(Tensor x) const {
    return mlp_2(mlp_0(ln_q(x).View({-1, hidden_size})).Act(KEEL_ACT_GELU));
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_PATCHES_H_

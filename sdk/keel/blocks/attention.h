// Grouped-query attention with rotary positions, and which layers see a window.
//
//   #include "sdk/keel/blocks/attention.h"
//   using namespace keel;
//
//   struct MyAttention : RopeAttention {  // q and k normed per head, a window in every other layer
//     MyAttention(const Scope& s, const AttentionSizes& sizes, int layer)
//         : RopeAttention(s, sizes, layer,
//                         {.qk_norm = RmsNorm::Desc(sizes.head_dim, 1e-6),
//                          .window = layer % 2 == 0 ? 4096 : 0}) {}
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_ATTENTION_H_
#define KEEL_SDK_KEEL_BLOCKS_ATTENTION_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// What an attention is made of; a DenseConfig has it, a config of a family's own derives from it.
struct AttentionSizes {
  int64_t hidden_size = 0, num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
};

// q_proj, k_proj, v_proj, o_proj, and q_norm, k_norm where there are any: names as in most
// checkpoints; renames of the spec serve for others.
struct RopeAttention {
  struct Options {
    bool qkv_bias = false, output_bias = false;
    // Over each head of q and k, before the rotation: RmsNorm::Desc or LayerNorm::Desc.
    std::optional<keel_norm_desc> qk_norm = {};
    int64_t window = 0;  // keys seen, the query's own and those before it; 0: all
    double scale = 0;    // 0: head_dim^-0.5
    double softcap = 0;  // 0: none
  };

  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<Norm> q_norm, k_norm;
  Attention attn;

  RopeAttention(const Scope& s, const AttentionSizes& c, int layer, const Options& o)
      : head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, c.num_attention_heads * head_dim, o.qkv_bias),
        k_proj(s / "k_proj", c.hidden_size, c.num_key_value_heads * head_dim, o.qkv_bias),
        v_proj(s / "v_proj", c.hidden_size, c.num_key_value_heads * head_dim, o.qkv_bias),
        o_proj(s / "o_proj", c.num_attention_heads * head_dim, c.hidden_size, o.output_bias),
        attn(s, {.layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_key_value_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim,
                 .window = o.window,
                 .scale = o.scale,
                 .softcap = o.softcap}) {
    if (!o.qk_norm) return;
    q_norm.emplace(s / "q_norm", *o.qk_norm);
    k_norm.emplace(s / "k_norm", *o.qk_norm);
  }

  // x [N, hidden_size] -> the same. `args`: of the attention.
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions,
                    std::initializer_list<Arg> args = {}) const {
    Tensor q = q_proj(x).Heads(head_dim), k = k_proj(x).Heads(head_dim),
           v = v_proj(x).Heads(head_dim);
    if (q_norm) q = (*q_norm)(q), k = (*k_norm)(k);
    return o_proj(attn(rope(q, positions), rope(k, positions), v, args).Flat());
  }
};

// Which layers see a window: layer_types where the file has it, else those from max_window_layers
// on, and none at all unless use_sliding_window (Qwen2, Qwen3). 0 for a layer that sees everything.
struct WindowedLayers {
  int64_t window, first;
  std::vector<std::string> types;
  explicit WindowedLayers(const Config& c, int64_t max_window_layers = 28)
      : window(c.Bool("use_sliding_window", false) ? c.Int("sliding_window", 4096) : 0),
        first(c.Int("max_window_layers", max_window_layers)),
        types(c.Strings("layer_types")) {}
  int64_t operator()(int layer) const {
    const size_t i = static_cast<size_t>(layer);
    const bool is_sliding = i < types.size() ? types[i] == "sliding_attention" : layer >= first;
    return is_sliding ? window : 0;
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_ATTENTION_H_

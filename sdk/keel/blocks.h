// Parts that families share, with what differs between them as options. A family says its options; a family with a part
// of its own writes it out (plugins/llama shows how one reads).
#ifndef KEEL_SDK_KEEL_BLOCKS_H_
#define KEEL_SDK_KEEL_BLOCKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

// The keys that dense decoders of the Llama line have in common, under their names in config.json.
struct DenseConfig {
  int64_t hidden_size, intermediate_size, num_hidden_layers, num_attention_heads,
      num_key_value_heads, head_dim;
  int64_t vocab_size, max_position_embeddings;
  double rms_norm_eps, rope_theta = 10000;  // rope_theta: the family's default
  uint32_t hidden_act;
  bool tie_word_embeddings;

  explicit DenseConfig(const Config& c)
      : hidden_size(c.Int("hidden_size")),
        intermediate_size(c.Int("intermediate_size")),
        num_hidden_layers(c.Int("num_hidden_layers")),
        num_attention_heads(c.Int("num_attention_heads")),
        num_key_value_heads(c.Int("num_key_value_heads", num_attention_heads)),
        head_dim(
            c.Int("head_dim", num_attention_heads > 0 ? hidden_size / num_attention_heads : 0)),
        vocab_size(c.Int("vocab_size")),
        max_position_embeddings(c.Int("max_position_embeddings", 2048)),
        rms_norm_eps(c.Real("rms_norm_eps", 1e-6)),
        hidden_act(c.Activation("hidden_act", "silu")),
        tie_word_embeddings(c.Bool("tie_word_embeddings", false)) {}

  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = max_position_embeddings;
    s.tie_word_embeddings = tie_word_embeddings;
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"}, {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"}, {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.mlp.gate_proj", "colwise"},    {"layers.*.mlp.up_proj", "colwise"},
                 {"layers.*.mlp.down_proj", "rowwise"}};
    s.pp_plan = {{"embed_tokens", {"input_ids"}, {"inputs_embeds"}},
                 {"layers", {"hidden_states", "attention_mask"}, {"hidden_states"}},
                 {"norm", {"hidden_states"}, {"hidden_states"}}};
    return s;
  }
};

// down(act(gate(x)) * up(x)), arXiv:2002.05202.
struct GatedMlp {
  Linear gate_proj, up_proj, down_proj;
  uint32_t act;
  GatedMlp(const Scope& s, int64_t hidden_size, int64_t intermediate_size, uint32_t act,
           bool bias = false)
      : gate_proj(s / "gate_proj", hidden_size, intermediate_size, bias),
        up_proj(s / "up_proj", hidden_size, intermediate_size, bias),
        down_proj(s / "down_proj", intermediate_size, hidden_size, bias),
        act(act) {}
  Tensor operator()(Tensor x) const { return down_proj(ActMul(gate_proj(x), up_proj(x), act)); }
};

// A router over experts that are GatedMlps, arXiv:1701.06538. Names as in most checkpoints: "gate" (the router),
// "experts.{e}.gate_proj" ...; the desc's own names, relative to "experts", win.
struct SparseMoe {
  Linear gate;
  Moe experts;
  SparseMoe(const Scope& s, const keel_moe_desc& desc)
      : gate(s / "gate", desc.hidden_size, desc.experts), experts(s / "experts", Named(desc)) {}
  Tensor operator()(Tensor x) const { return experts(x, gate(x)); }

 private:
  static keel_moe_desc Named(keel_moe_desc desc) {
    if (desc.gate == nullptr) desc.gate = "{e}.gate_proj";
    if (desc.up == nullptr) desc.up = "{e}.up_proj";
    if (desc.down == nullptr) desc.down = "{e}.down_proj";
    return desc;
  }
};

// A convolution over the last `kernel` tokens, each channel by itself, as recurrent layers have before their scan.
struct CausalConv1d {
  Param weight;
  std::optional<Param> bias;
  State state;
  CausalConv1d(const Scope& s, int64_t channels, int64_t kernel, int layer, bool has_bias)
      : weight(s / "weight", {channels, 1, kernel}),
        state(
            s / "state",
            {.kind = KEEL_STATE_CONV, .layer = layer, .ndim = 2, .dims = {channels, kernel - 1}}) {
    if (has_bias) bias = Param(s / "bias", {channels});
  }
  Tensor operator()(Tensor x) const {  // [N, channels]
    const Tensor w = weight(x.run).View({0, -1});
    if (!bias) return state(KEEL_RECUR_CAUSAL_CONV1D, x, {{"weight", w}});
    return state(KEEL_RECUR_CAUSAL_CONV1D, x, {{"weight", w}, {"bias", (*bias)(x.run)}});
  }
};

// Which layers see a window: layer_types where the file has it, else those from max_window_layers on, and none at all
// unless use_sliding_window (Qwen2, Qwen3). window(layer) is 0 for a layer that sees everything.
struct WindowedLayers {
  int64_t window, first;
  std::vector<bool> sliding;
  explicit WindowedLayers(const Config& c)
      : window(c.Bool("use_sliding_window", false) ? c.Int("sliding_window", 4096) : 0),
        first(c.Int("max_window_layers", 28)) {
    for (size_t i = 0; i < c.Size("layer_types"); ++i) {
      sliding.push_back(c.String(("layer_types/" + std::to_string(i)).c_str(), "") ==
                        "sliding_attention");
    }
  }
  int64_t operator()(int layer) const {
    const bool is_sliding =
        static_cast<size_t>(layer) < sliding.size() ? sliding[layer] : layer >= first;
    return is_sliding ? window : 0;
  }
};

// Grouped-query attention with rotary positions.
struct RopeAttention {
  struct Options {
    bool qkv_bias = false, output_bias = false;
    bool qk_norm = false;  // an RMSNorm over each head of q and k, before the rotation
    int64_t window = 0;    // keys seen; 0: all
    double scale = 0;      // 0: head_dim^-0.5
    double softcap = 0;
    double norm_offset = 0;  // of the q and k norms
    uint32_t norm_flags = 0;
  };

  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<RmsNorm> q_norm, k_norm;
  Attention attn;

  RopeAttention(const Scope& s, const DenseConfig& c, int layer, const Options& o)
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
    q_norm.emplace(s / "q_norm", head_dim, c.rms_norm_eps, o.norm_offset, o.norm_flags);
    k_norm.emplace(s / "k_norm", head_dim, c.rms_norm_eps, o.norm_offset, o.norm_flags);
  }

  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    Tensor q = q_proj(x).Heads(head_dim), k = k_proj(x).Heads(head_dim),
           v = v_proj(x).Heads(head_dim);
    if (q_norm) q = (*q_norm)(q), k = (*k_norm)(k);
    return o_proj(attn(rope(q, positions), rope(k, positions), v).Flat());
  }
};

// A pre-norm decoder of RopeAttention and GatedMlp. FamilyConfig is a DenseConfig with
// `RopeAttention::Options attention(int layer) const`, and with `keel_rope_desc rope() const` where the rotary embedding
// is more than head_dim and rope_theta.
template <typename FamilyConfig>
struct DenseDecoder {
  using ConfigType = FamilyConfig;

  struct Layer {
    RopeAttention self_attn;
    GatedMlp mlp;
    RmsNorm input_layernorm, post_attention_layernorm;
    Layer(const Scope& s, const FamilyConfig& c, int index)
        : self_attn(s / "self_attn", c, index, c.attention(index)),
          mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
          input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
          post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
    Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
      x = x + self_attn(input_layernorm(x), rope, positions);
      return x + mlp(post_attention_layernorm(x));
    }
  };

  Rope rotary_emb;
  std::vector<Layer> layers;
  RmsNorm norm;

  DenseDecoder(const Scope& root, const FamilyConfig& c)
      : rotary_emb(MakeRope(root, c)),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps) {
    for (int i = 0; i < c.num_hidden_layers; ++i)
      layers.emplace_back(root / "model" / "layers" / i, c, i);
  }

  template <typename Inputs>
  Tensor Forward(const Inputs& in) const {
    Tensor x = in.embeds;
    for (size_t i = 0; i < layers.size(); ++i) {
      const LayerMark mark(in.run, static_cast<int>(i));
      x = layers[i](x, rotary_emb, in.positions);
    }
    return norm(x);
  }

 private:
  static Rope MakeRope(const Scope& root, const FamilyConfig& c) {
    if constexpr (requires { c.rope(); }) {
      return Rope(root, c.rope());
    } else {
      return Rope(root, c.head_dim, c.rope_theta);
    }
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_H_

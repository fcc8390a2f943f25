// Bamba, as in transformers' models/bamba/modeling_bamba.py: Mamba-2's mixer in most layers, attention that rotates half
// of each head in a few, and a gated MLP in all.
#include <algorithm>
#include <cmath>
#include <optional>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/mamba2.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct BambaConfig : DenseConfig {
  Mamba2Mixer::Options mixer;
  std::vector<bool> attends;  // by layer
  bool attention_bias, mlp_bias;
  explicit BambaConfig(const Config& c)
      : DenseConfig(
            c, {.num_key_value_heads = 8, .max_position_embeddings = 262144, .rms_norm_eps = 1e-5}),
        mixer{.hidden_size = hidden_size,
              .num_heads = c.Int("mamba_n_heads", 128),
              .head_dim = 0,
              .n_groups = c.Int("mamba_n_groups", 1),
              .state_size = c.Int("mamba_d_state", 256),
              .conv_kernel = c.Int("mamba_d_conv", 4),
              .norm_eps = rms_norm_eps,
              .time_step_min = c.Real("time_step_limit/0", 0),
              .time_step_max = c.Real("time_step_limit/1", INFINITY),
              .hidden_act = hidden_act,
              .proj_bias = c.Bool("mamba_proj_bias", false),
              .conv_bias = c.Bool("mamba_conv_bias", true)},
        attends(static_cast<size_t>(std::clamp<int64_t>(num_hidden_layers, 0, 1 << 16))),
        attention_bias(c.Bool("attention_bias", false)),
        mlp_bias(c.Bool("mlp_bias", false)) {
    const int64_t expanded = c.Int("mamba_expand", 2) * hidden_size;
    if (mixer.num_heads < 1 || expanded % mixer.num_heads != 0) {
      c.Fail("mamba_n_heads", "is " + std::to_string(mixer.num_heads) +
                                  ", expected a divisor of mamba_expand * hidden_size = " +
                                  std::to_string(expanded));
    } else {
      mixer.head_dim = expanded / mixer.num_heads;
    }
    for (size_t i = 0; i < c.Size("attn_layer_indices"); ++i) {
      const std::string key = "attn_layer_indices/" + std::to_string(i);
      const int64_t layer = c.Int(key.c_str());
      if (layer < 0 || layer >= static_cast<int64_t>(attends.size())) {
        c.Fail(key.c_str(), "is " + std::to_string(layer) + ", expected a layer of " +
                                std::to_string(num_hidden_layers));
      } else {
        attends[static_cast<size_t>(layer)] = true;
      }
    }
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"},
                 {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"},
                 {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.feed_forward.gate_proj", "colwise"},
                 {"layers.*.feed_forward.up_proj", "colwise"},
                 {"layers.*.feed_forward.down_proj", "rowwise"},
                 {"lm_head", "colwise_gather_output"}};
    s.pp_plan.back() = {"final_layernorm", {"hidden_states"}, {"hidden_states"}};
    return s;
  }
};

struct BambaDecoderLayer {
  std::optional<Mamba2Mixer> mamba;
  std::optional<RopeAttention> self_attn;
  GatedMlp feed_forward;
  RmsNorm input_layernorm, pre_ff_layernorm;
  BambaDecoderLayer(const Scope& s, const BambaConfig& c, int layer)
      : feed_forward(s / "feed_forward", c.hidden_size, c.intermediate_size, c.hidden_act,
                     c.mlp_bias),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        pre_ff_layernorm(s / "pre_ff_layernorm", c.hidden_size, c.rms_norm_eps) {
    if (c.attends[static_cast<size_t>(layer)]) {
      self_attn.emplace(
          s / "self_attn", c, layer,
          RopeAttention::Options{.qkv_bias = c.attention_bias, .output_bias = c.attention_bias});
    } else {
      mamba.emplace(s / "mamba", c.mixer, layer);
    }
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor normed = input_layernorm(x);
    x = x + (mamba ? (*mamba)(normed) : (*self_attn)(normed, rope, positions));
    return x + feed_forward(pre_ff_layernorm(x));
  }
};

struct BambaForCausalLM {
  static constexpr const char* kModelType = "bamba";
  static constexpr const char* kArchitectures[] = {"BambaForCausalLM"};
  using ConfigType = BambaConfig;

  Rope rotary_emb;
  RmsNorm final_layernorm;
  LayerList<BambaDecoderLayer> layers;
  BambaForCausalLM(const Scope& root, const BambaConfig& c)
      : rotary_emb(root, {.head_dim = c.head_dim, .theta = 10000, .partial_rotary_factor = 0.5}),
        final_layernorm(root / "model" / "final_layernorm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", static_cast<int64_t>(c.attends.size()), c) {}
  Tensor Forward(const Inputs& in) const {
    return final_layernorm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.bamba", "0.1.0", keel::BambaForCausalLM);

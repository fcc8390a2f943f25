// Recurrences beside attention, as in transformers' models/<name>.
#ifndef KEEL_TESTS_RECORDED_ZOO_MIXERS_H_
#define KEEL_TESTS_RECORDED_ZOO_MIXERS_H_

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "sdk/keel/blocks/causal_conv1d.h"
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/moe.h"
#include "sdk/keel/plugin.h"

namespace keel {

// ---- Jamba: Mamba layers with norms of dt, B and C, attention without positions, experts ----

struct JambaConfig : DenseConfig {
  int64_t mamba_d_state, mamba_d_conv, mamba_dt_rank, channels, num_experts, num_experts_per_tok,
      attn_layer_period, attn_layer_offset, expert_layer_period, expert_layer_offset;
  explicit JambaConfig(const Config& c)
      : DenseConfig(c),
        mamba_d_state(c.Int("mamba_d_state", 16)),
        mamba_d_conv(c.Int("mamba_d_conv", 4)),
        mamba_dt_rank(c.Int("mamba_dt_rank")),
        channels(c.Int("mamba_expand", 2) * hidden_size),
        num_experts(c.Int("num_experts", 16)),
        num_experts_per_tok(c.Int("num_experts_per_tok", 2)),
        attn_layer_period(c.Int("attn_layer_period", 8)),
        attn_layer_offset(c.Int("attn_layer_offset", 4)),
        expert_layer_period(c.Int("expert_layer_period", 2)),
        expert_layer_offset(c.Int("expert_layer_offset", 1)) {}
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {};
    s.pp_plan = {};
    return s;
  }
};

struct JambaMamba {
  JambaConfig c;
  Linear in_proj, x_proj, dt_proj, out_proj;
  CausalConv1d conv1d;
  Param a_log, d;
  RmsNorm dt_layernorm, b_layernorm, c_layernorm;
  State state;
  JambaMamba(const Scope& s, const JambaConfig& config, int layer)
      : c(config),
        in_proj(s / "in_proj", c.hidden_size, 2 * c.channels),
        x_proj(s / "x_proj", c.channels, c.mamba_dt_rank + 2 * c.mamba_d_state),
        dt_proj(s / "dt_proj", c.mamba_dt_rank, c.channels, true),
        out_proj(s / "out_proj", c.channels, c.hidden_size),
        conv1d(s / "conv1d", c.channels, c.mamba_d_conv, layer, true),
        a_log(s / "A_log", {c.channels, c.mamba_d_state}),
        d(s / "D", {c.channels}),
        dt_layernorm(s / "dt_layernorm", c.mamba_dt_rank, c.rms_norm_eps),
        b_layernorm(s / "b_layernorm", c.mamba_d_state, c.rms_norm_eps),
        c_layernorm(s / "c_layernorm", c.mamba_d_state, c.rms_norm_eps),
        state(s / "ssm", {.kind = KEEL_STATE_SSM,
                          .layer = layer,
                          .ndim = 2,
                          .dtype = KEEL_F32,
                          .dims = {c.channels, c.mamba_d_state}}) {}
  Tensor operator()(Tensor in) const {
    const std::vector<Tensor> parts = in_proj(in).Split({c.channels, c.channels});
    const Tensor x = conv1d(parts[0]).Act(KEEL_ACT_SILU);
    const std::vector<Tensor> p =
        x_proj(x).Split({c.mamba_dt_rank, c.mamba_d_state, c.mamba_d_state});
    const Tensor a = a_log(in.run).Cast(KEEL_F32).Unary(KEEL_UNARY_EXP) * -1;
    const Tensor y = state(KEEL_RECUR_SELECTIVE_SCAN, x,
                           {{"dt", dt_proj(dt_layernorm(p[0]))},
                            {"A", a},
                            {"B", b_layernorm(p[1])},
                            {"C", c_layernorm(p[2])},
                            {"D", d(in.run)}});
    return out_proj(y * parts[1].Act(KEEL_ACT_SILU));
  }
};

struct JambaLayer {
  int64_t head_dim;
  std::optional<RopeAttention> self_attn;
  std::optional<JambaMamba> mamba;
  std::optional<GatedMlp> mlp;
  std::optional<Linear> router;
  std::optional<Moe> experts;
  RmsNorm input_layernorm, pre_ff_layernorm;
  JambaLayer(const Scope& s, const JambaConfig& c, int layer)
      : head_dim(c.head_dim),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        pre_ff_layernorm(s / "pre_ff_layernorm", c.hidden_size, c.rms_norm_eps) {
    if (layer % c.attn_layer_period == c.attn_layer_offset) {
      self_attn.emplace(s / "self_attn", c, layer, RopeAttention::Options{});
    } else {
      mamba.emplace(s / "mamba", c, layer);
    }
    if (layer % c.expert_layer_period == c.expert_layer_offset) {
      router.emplace(s / "feed_forward" / "router", c.hidden_size, c.num_experts);
      experts.emplace(s / "feed_forward" / "experts",
                      keel_moe_desc{.act = c.hidden_act,
                                    .experts = c.num_experts,
                                    .top_k = c.num_experts_per_tok,
                                    .hidden_size = c.hidden_size,
                                    .intermediate_size = c.intermediate_size,
                                    .scoring = KEEL_MOE_SOFTMAX,
                                    .gate = "{e}.gate_proj",
                                    .up = "{e}.up_proj",
                                    .down = "{e}.down_proj"});
    } else {
      mlp.emplace(s / "feed_forward", c.hidden_size, c.intermediate_size, c.hidden_act);
    }
  }
  Tensor Mix(Tensor x) const {
    if (mamba) return (*mamba)(x);
    const RopeAttention& a = *self_attn;
    return a.o_proj(a.attn(a.q_proj(x).Heads(head_dim), a.k_proj(x).Heads(head_dim),
                           a.v_proj(x).Heads(head_dim))
                        .Flat());
  }
  Tensor operator()(Tensor x) const {
    x = x + Mix(input_layernorm(x));
    const Tensor h = pre_ff_layernorm(x);
    return x + (mlp ? (*mlp)(h) : (*experts)(h, (*router)(h)));
  }
};

struct JambaForCausalLM {
  static constexpr const char* kModelType = "jamba";
  static constexpr const char* kArchitectures[] = {"JambaForCausalLM"};
  using ConfigType = JambaConfig;

  RmsNorm final_layernorm;
  LayerList<JambaLayer> layers;
  JambaForCausalLM(const Scope& root, const JambaConfig& c)
      : final_layernorm(root / "model" / "final_layernorm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const { return final_layernorm(layers(in.embeds)); }
};

// ---- MiniMax: lightning attention (arXiv:2401.04658), a decay of each head's, in most layers ----

struct MiniMaxConfig : DenseConfig {
  std::vector<std::string> layer_types;
  explicit MiniMaxConfig(const Config& c) : DenseConfig(c), layer_types(c.Strings("layer_types")) {}
  bool attends(int layer) const {
    return static_cast<size_t>(layer) < layer_types.size() &&
           layer_types[static_cast<size_t>(layer)] == "full_attention";
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {};
    s.pp_plan = {};
    return s;
  }
};

struct LightningAttention {
  int64_t heads, head_dim;
  std::vector<float> decays;  // logarithms
  Linear qkv_proj, output_gate, out_proj;
  RmsNorm norm;
  State state;
  LightningAttention(const Scope& s, const MiniMaxConfig& c, int layer)
      : heads(c.num_attention_heads),
        head_dim(c.head_dim),
        qkv_proj(s / "qkv_proj", c.hidden_size, 3 * heads * head_dim),
        output_gate(s / "output_gate", c.hidden_size, heads * head_dim),
        out_proj(s / "out_proj", heads * head_dim, c.hidden_size),
        norm(s / "norm", heads * head_dim, c.rms_norm_eps),
        state(s / "state", {.kind = KEEL_STATE_DELTA,
                            .layer = layer,
                            .ndim = 3,
                            .dtype = KEEL_F32,
                            .dims = {heads, head_dim, head_dim}}) {
    const double depth = 1 - layer / (static_cast<double>(c.num_hidden_layers) - 1 + 1e-5) + 1e-5;
    for (int64_t h = 1; h <= heads; ++h) {
      const double power = -8.0 * static_cast<double>(h) / static_cast<double>(heads);
      decays.push_back(static_cast<float>(-std::exp2(power) * depth));
    }
  }
  Tensor operator()(Tensor x) const {
    const Tensor qkv = qkv_proj(x).Act(KEEL_ACT_SILU).View({0, heads, 3 * head_dim});
    const std::vector<Tensor> p = qkv.Split({head_dim, head_dim, head_dim});
    // The same for each token, in the shape [N, heads] that the recurrence takes.
    const Tensor zeros = p[0].Sum(-1).Cast(KEEL_F32) * 0;
    const Tensor g = zeros + Constant(x.run, {heads}, decays);
    const Tensor y = state(KEEL_RECUR_LINEAR_ATTENTION, p[0], {{"k", p[1]}, {"v", p[2]}, {"g", g}});
    return out_proj(output_gate(x).Sigmoid() * norm(y.Flat()));
  }
};

struct MiniMaxLayer {
  std::optional<RopeAttention> self_attn;
  std::optional<LightningAttention> lightning;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  MiniMaxLayer(const Scope& s, const MiniMaxConfig& c, int layer)
      : mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {
    if (c.attends(layer)) {
      self_attn.emplace(s / "self_attn", c, layer, RopeAttention::Options{});
    } else {
      lightning.emplace(s / "self_attn", c, layer);
    }
  }
  // The residual goes around from the normed value.
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = input_layernorm(x);
    x = x + (self_attn ? (*self_attn)(x, rope, positions) : (*lightning)(x));
    x = post_attention_layernorm(x);
    return x + mlp(x);
  }
};

struct MiniMaxForCausalLM : DenseDecoder<MiniMaxConfig, MiniMaxLayer> {
  static constexpr const char* kModelType = "minimax";
  static constexpr const char* kArchitectures[] = {"MiniMaxForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

// ---- Kimi Linear: the gated delta rule with a gate of each channel's (KDA, arXiv:2510.26692) ----

struct KimiLinearConfig : DenseConfig {
  int64_t conv_kernel;
  explicit KimiLinearConfig(const Config& c)
      : DenseConfig(c), conv_kernel(c.Int("linear_attn_config/short_conv_kernel_size", 4)) {}
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {};
    s.pp_plan = {};
    return s;
  }
};

struct KimiDeltaAttention {
  int64_t heads, head_dim;
  Linear q_proj, k_proj, v_proj, f_a_proj, f_b_proj, b_proj, g_a_proj, g_b_proj, o_proj;
  CausalConv1d q_conv1d, k_conv1d, v_conv1d;
  Param a_log, dt_bias;
  RmsNorm o_norm;
  Norm unit;
  State state;
  KimiDeltaAttention(const Scope& s, const KimiLinearConfig& c, int layer)
      : heads(c.num_attention_heads),
        head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, heads * head_dim),
        k_proj(s / "k_proj", c.hidden_size, heads * head_dim),
        v_proj(s / "v_proj", c.hidden_size, heads * head_dim),
        f_a_proj(s / "f_a_proj", c.hidden_size, head_dim),
        f_b_proj(s / "f_b_proj", head_dim, heads * head_dim),
        b_proj(s / "b_proj", c.hidden_size, heads),
        g_a_proj(s / "g_a_proj", c.hidden_size, head_dim),
        g_b_proj(s / "g_b_proj", head_dim, heads * head_dim),
        o_proj(s / "o_proj", heads * head_dim, c.hidden_size),
        q_conv1d(s / "q_conv1d", heads * head_dim, c.conv_kernel, layer, false),
        k_conv1d(s / "k_conv1d", heads * head_dim, c.conv_kernel, layer, false),
        v_conv1d(s / "v_conv1d", heads * head_dim, c.conv_kernel, layer, false),
        a_log(s / "A_log", {1, heads, 1}),
        dt_bias(s / "dt_bias", {heads * head_dim}),
        o_norm(s / "o_norm", head_dim, c.rms_norm_eps),
        // x / sqrt(sum(x^2) + eps) is this by D^-0.5.
        unit(s / "unit",
             RmsNorm::Desc(head_dim, 1e-6 / static_cast<double>(head_dim), 0, KEEL_NORM_NO_WEIGHT)),
        state(s / "state", {.kind = KEEL_STATE_DELTA,
                            .layer = layer,
                            .ndim = 3,
                            .dtype = KEEL_F32,
                            .dims = {heads, head_dim, head_dim}}) {}
  Tensor operator()(Tensor x) const {
    const double unit_scale = 1 / std::sqrt(static_cast<double>(head_dim));
    const auto mixed = [&](const Linear& proj, const CausalConv1d& conv) {
      return conv(proj(x)).Act(KEEL_ACT_SILU).Heads(head_dim);
    };
    const Tensor q = unit(mixed(q_proj, q_conv1d)) * (unit_scale * unit_scale);
    const Tensor k = unit(mixed(k_proj, k_conv1d)) * unit_scale;
    const Tensor rates = (f_b_proj(f_a_proj(x)) + dt_bias(x.run)).Cast(KEEL_F32);
    const Tensor a = a_log(x.run).Cast(KEEL_F32).Unary(KEEL_UNARY_EXP) * -1;
    const Tensor g = rates.Unary(KEEL_UNARY_SOFTPLUS).Heads(head_dim) * a;
    const Tensor y =
        state(KEEL_RECUR_GATED_DELTA, q,
              {{"k", k}, {"v", mixed(v_proj, v_conv1d)}, {"g", g}, {"beta", b_proj(x).Sigmoid()}});
    const Tensor gate = g_b_proj(g_a_proj(x)).Heads(head_dim).Sigmoid();
    return o_proj((o_norm(y) * gate).Flat());
  }
};

struct KimiLinearLayer {
  KimiDeltaAttention self_attn;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  KimiLinearLayer(const Scope& s, const KimiLinearConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x) const {
    x = x + self_attn(input_layernorm(x));
    return x + mlp(post_attention_layernorm(x));
  }
};

struct KimiLinearForCausalLM {
  static constexpr const char* kModelType = "kimi_linear";
  static constexpr const char* kArchitectures[] = {"KimiLinearForCausalLM"};
  using ConfigType = KimiLinearConfig;

  RmsNorm norm;
  LayerList<KimiLinearLayer> layers;
  KimiLinearForCausalLM(const Scope& root, const KimiLinearConfig& c)
      : norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const { return norm(layers(in.embeds)); }
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_ZOO_MIXERS_H_

// Dense decoders, each with what sets it apart from Llama, as in transformers' models/<name>.
#ifndef KEEL_TESTS_RECORDED_ZOO_DENSE_H_
#define KEEL_TESTS_RECORDED_ZOO_DENSE_H_

#include <cmath>
#include <string>
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {

// ---- Nemotron: LayerNorm whose weight is kept minus 1, relu squared, half of each head rotated ----

struct NemotronConfig : DenseConfig {
  explicit NemotronConfig(const Config& c) : DenseConfig(c, {.hidden_act = "relu2"}) {
    rms_norm_eps = c.Real("norm_eps", 1e-5);
  }
  keel_norm_desc norm() const {
    return {.kind = KEEL_NORM_LAYER,
            .size = hidden_size,
            .eps = rms_norm_eps,
            .weight_offset = 1,
            .flags = KEEL_NORM_BIAS | KEEL_NORM_CAST_LAST};
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim, .theta = rope_theta, .partial_rotary_factor = 0.5};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    std::erase_if(s.tp_plan, [](const TpRule& rule) {
      return std::string(rule.pattern).find("gate_proj") != std::string::npos;
    });
    return s;
  }
};

struct NemotronLayer {
  RopeAttention self_attn;
  Linear up_proj, down_proj;
  Norm input_layernorm, post_attention_layernorm;
  uint32_t act;
  NemotronLayer(const Scope& s, const NemotronConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer, {}),
        up_proj(s / "mlp" / "up_proj", c.hidden_size, c.intermediate_size),
        down_proj(s / "mlp" / "down_proj", c.intermediate_size, c.hidden_size),
        input_layernorm(s / "input_layernorm", c.norm()),
        post_attention_layernorm(s / "post_attention_layernorm", c.norm()),
        act(c.hidden_act) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + down_proj(up_proj(post_attention_layernorm(x)).Act(act));
  }
};

struct NemotronForCausalLM {
  static constexpr const char* kModelType = "nemotron";
  static constexpr const char* kArchitectures[] = {"NemotronForCausalLM"};
  using ConfigType = NemotronConfig;

  Rope rotary_emb;
  Norm norm;
  LayerList<NemotronLayer> layers;
  NemotronForCausalLM(const Scope& root, const NemotronConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.norm()),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

// ---- SmolLM3: some layers have no positions ----

struct SmolLm3Config : DenseConfig {
  std::vector<bool> rotates;
  explicit SmolLm3Config(const Config& c) : DenseConfig(c, {.num_key_value_heads = 4}) {
    for (int64_t i = 0; i < num_hidden_layers; ++i)
      rotates.push_back(c.Int(("no_rope_layers/" + std::to_string(i)).c_str(), (i + 1) % 4 != 0));
  }
};

struct SmolLm3Layer {
  bool rotates;
  int64_t head_dim;
  RopeAttention self_attn;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  SmolLm3Layer(const Scope& s, const SmolLm3Config& c, int layer)
      : rotates(c.rotates[static_cast<size_t>(layer)]),
        head_dim(c.head_dim),
        self_attn(s / "self_attn", c, layer, {}),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor Attend(Tensor x, const Rope& rope, Tensor positions) const {
    if (rotates) return self_attn(x, rope, positions);
    const RopeAttention& a = self_attn;
    return a.o_proj(a.attn(a.q_proj(x).Heads(head_dim), a.k_proj(x).Heads(head_dim),
                           a.v_proj(x).Heads(head_dim))
                        .Flat());
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + Attend(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct SmolLM3ForCausalLM : DenseDecoder<SmolLm3Config, SmolLm3Layer> {
  static constexpr const char* kModelType = "smollm3";
  static constexpr const char* kArchitectures[] = {"SmolLM3ForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

// ---- GLM-4: half of each head rotated in pairs, norms on both sides, gate and up in one tensor ----

struct Glm4Config : DenseConfig {
  bool attention_bias;
  explicit Glm4Config(const Config& c)
      : DenseConfig(c), attention_bias(c.Bool("attention_bias", false)) {}
  keel_rope_desc rope() const {
    return {.layout = KEEL_ROPE_INTERLEAVED,
            .head_dim = head_dim,
            .theta = rope_theta,
            .partial_rotary_factor = 0.5};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.renames = {{.op = KEEL_RENAME_SPLIT,
                  .from = {R"((.*\.mlp\.)gate_up_proj\.weight)"},
                  .to = {R"(\1gate_proj.weight)", R"(\1up_proj.weight)"},
                  .dim = 0}};
    return s;
  }
};

struct Glm4Layer {
  RopeAttention self_attn;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_self_attn_layernorm, post_attention_layernorm, post_mlp_layernorm;
  Glm4Layer(const Scope& s, const Glm4Config& c, int layer)
      : self_attn(s / "self_attn", c, layer, {.qkv_bias = c.attention_bias}),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_self_attn_layernorm(s / "post_self_attn_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        post_mlp_layernorm(s / "post_mlp_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + post_self_attn_layernorm(self_attn(input_layernorm(x), rope, positions));
    return x + post_mlp_layernorm(mlp(post_attention_layernorm(x)));
  }
};

struct Glm4ForCausalLM : DenseDecoder<Glm4Config, Glm4Layer> {
  static constexpr const char* kModelType = "glm4";
  static constexpr const char* kArchitectures[] = {"Glm4ForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

// ---- HunYuan: frequencies that no formula of transformers' gives, norms after the rotation ----

struct HunYuanConfig : DenseConfig {
  double alpha;
  explicit HunYuanConfig(const Config& c)
      : DenseConfig(c), alpha(c.Real("rope_scaling/alpha", 1)) {}
  // The base grows, as with "dynamic", but by a number of the config's.
  std::vector<double> inv_freq() const {
    const auto d = static_cast<double>(head_dim);
    const double base = rope_theta * std::pow(alpha, d / (d - 2));
    std::vector<double> out;
    for (int64_t i = 0; i < head_dim / 2; ++i)
      out.push_back(std::pow(base, -2.0 * static_cast<double>(i) / d));
    return out;
  }
};

struct HunYuanLayer {
  int64_t head_dim;
  RopeAttention self_attn;
  RmsNorm query_layernorm, key_layernorm;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  HunYuanLayer(const Scope& s, const HunYuanConfig& c, int layer)
      : head_dim(c.head_dim),
        self_attn(s / "self_attn", c, layer, {}),
        query_layernorm(s / "self_attn" / "query_layernorm", c.head_dim, c.rms_norm_eps),
        key_layernorm(s / "self_attn" / "key_layernorm", c.head_dim, c.rms_norm_eps),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor Attend(Tensor x, const Rope& rope, Tensor positions) const {
    const RopeAttention& a = self_attn;
    const Tensor q = query_layernorm(rope(a.q_proj(x).Heads(head_dim), positions));
    const Tensor k = key_layernorm(rope(a.k_proj(x).Heads(head_dim), positions));
    return a.o_proj(a.attn(q, k, a.v_proj(x).Heads(head_dim)).Flat());
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + Attend(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct HunYuanDenseV1ForCausalLM {
  static constexpr const char* kModelType = "hunyuan_v1_dense";
  static constexpr const char* kArchitectures[] = {"HunYuanDenseV1ForCausalLM"};
  using ConfigType = HunYuanConfig;

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<HunYuanLayer> layers;
  HunYuanDenseV1ForCausalLM(const Scope& root, const HunYuanConfig& c)
      : rotary_emb(root, {.head_dim = c.head_dim}, c.inv_freq()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

// ---- Apertus: an activation with parameters (xIELU, arXiv:2411.13010) ----

struct ApertusConfig : DenseConfig {
  explicit ApertusConfig(const Config& c) : DenseConfig(c, {.hidden_act = "silu"}) {}
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"}, {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"}, {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.mlp.up_proj", "colwise"},      {"layers.*.mlp.down_proj", "rowwise"}};
    return s;
  }
};

struct ApertusLayer {
  static constexpr double kBeta = 0.5, kEpsilon = -1e-6;

  RopeAttention self_attn;
  Linear up_proj, down_proj;
  Param alpha_p, alpha_n;
  RmsNorm attention_layernorm, feedforward_layernorm;
  ApertusLayer(const Scope& s, const ApertusConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer,
                  {.qk_norm = RmsNorm::Desc(c.head_dim, c.rms_norm_eps)}),
        up_proj(s / "mlp" / "up_proj", c.hidden_size, c.intermediate_size),
        down_proj(s / "mlp" / "down_proj", c.intermediate_size, c.hidden_size),
        alpha_p(s / "mlp" / "act_fn" / "alpha_p", {1}),
        alpha_n(s / "mlp" / "act_fn" / "alpha_n", {1}),
        attention_layernorm(s / "attention_layernorm", c.hidden_size, c.rms_norm_eps),
        feedforward_layernorm(s / "feedforward_layernorm", c.hidden_size, c.rms_norm_eps) {}
  // x > 0: p x^2 + beta x, else n (exp(x) - 1 - x) + beta x.
  Tensor Xielu(Tensor x) const {
    const Tensor p = alpha_p(x.run).Unary(KEEL_UNARY_SOFTPLUS);
    const Tensor n = alpha_n(x.run).Unary(KEEL_UNARY_SOFTPLUS) + kBeta;
    const Tensor below = x.With(x.ops().clamp(x.run, x.id, -INFINITY, kEpsilon));
    const Tensor positive = p * (x * x) + kBeta * x;
    const Tensor negative = n * (below.Unary(KEEL_UNARY_EXPM1) - x) + kBeta * x;
    return Where(x.Compare(x * 0, KEEL_COMPARE_GT), positive, negative);
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(attention_layernorm(x), rope, positions);
    return x + down_proj(Xielu(up_proj(feedforward_layernorm(x))));
  }
};

struct ApertusForCausalLM : DenseDecoder<ApertusConfig, ApertusLayer> {
  static constexpr const char* kModelType = "apertus";
  static constexpr const char* kArchitectures[] = {"ApertusForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_ZOO_DENSE_H_

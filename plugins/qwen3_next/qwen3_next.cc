// Qwen3-Next, as in transformers' models/qwen3_next: three layers of gated delta rule to one of gated attention, and a
// mixture of experts with a shared one in most of them.
#include <algorithm>
#include <cmath>
#include <optional>

#include "sdk/keel/blocks/causal_conv1d.h"
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/moe.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen3NextConfig : DenseConfig {
  int64_t linear_conv_kernel_dim, linear_key_head_dim, linear_value_head_dim, linear_num_key_heads,
      linear_num_value_heads;
  int64_t moe_intermediate_size, shared_expert_intermediate_size, num_experts, num_experts_per_tok,
      decoder_sparse_step;
  bool norm_topk_prob, attention_bias;
  std::vector<int64_t> mlp_only_layers;
  std::vector<std::string> layer_types;
  explicit Qwen3NextConfig(const Config& c)
      : DenseConfig(c,
                    {.num_key_value_heads = 2, .head_dim = 256, .max_position_embeddings = 32768}),
        linear_conv_kernel_dim(c.Int("linear_conv_kernel_dim", 4)),
        linear_key_head_dim(c.Int("linear_key_head_dim", 128)),
        linear_value_head_dim(c.Int("linear_value_head_dim", 128)),
        linear_num_key_heads(c.Int("linear_num_key_heads", 16)),
        linear_num_value_heads(c.Int("linear_num_value_heads", 32)),
        moe_intermediate_size(c.Int("moe_intermediate_size", 512)),
        shared_expert_intermediate_size(c.Int("shared_expert_intermediate_size", 512)),
        num_experts(c.Int("num_experts|num_local_experts", 512)),
        num_experts_per_tok(c.Int("num_experts_per_tok", 10)),
        decoder_sparse_step(c.Int("decoder_sparse_step", 1)),
        norm_topk_prob(c.Bool("norm_topk_prob", true)),
        attention_bias(c.Bool("attention_bias", false)),
        mlp_only_layers(c.Ints("mlp_only_layers")),
        layer_types(c.Strings("layer_types")) {
    if (decoder_sparse_step < 1) {
      c.Fail("decoder_sparse_step", "is less than 1, expected every how many layers one is sparse");
      decoder_sparse_step = 1;
    }
    if (linear_num_key_heads < 1 || linear_num_value_heads % linear_num_key_heads != 0)
      c.Fail("linear_num_value_heads", "is no multiple of linear_num_key_heads");
    const int64_t interval = std::max<int64_t>(c.Int("full_attention_interval", 4), 1);
    if (!layer_types.empty() && std::ssize(layer_types) != num_hidden_layers) {
      c.Fail("layer_types",
             "has " + std::to_string(layer_types.size()) + " entries, expected one a layer");
      layer_types.clear();
    }
    for (int64_t i = std::ssize(layer_types); i < num_hidden_layers; ++i)
      layer_types.push_back((i + 1) % interval == 0 ? "full_attention" : "linear_attention");
  }
  bool attends(int layer) const { return layer_types[layer] == "full_attention"; }
  bool sparse(int layer) const {
    const bool mlp_only =
        std::find(mlp_only_layers.begin(), mlp_only_layers.end(), layer) != mlp_only_layers.end();
    return !mlp_only && num_experts > 0 && (layer + 1) % decoder_sparse_step == 0;
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    int64_t num_sparse = 0, num_attending = 0;
    for (int i = 0; i < num_hidden_layers; ++i)
      num_sparse += sparse(i), num_attending += attends(i);
    // Only rules that match something.
    const auto drop = [&s](std::string_view prefix) {
      std::erase_if(s.tp_plan, [&](const TpRule& rule) {
        return std::string_view(rule.pattern).starts_with(prefix);
      });
    };
    if (num_sparse == num_hidden_layers) drop("layers.*.mlp.");
    if (num_attending == 0) drop("layers.*.self_attn.");
    if (num_sparse > 0) {
      PlanExperts(s);
      s.tp_plan.insert(s.tp_plan.end(), {{"layers.*.mlp.shared_expert.gate_proj", "colwise"},
                                         {"layers.*.mlp.shared_expert.up_proj", "colwise"},
                                         {"layers.*.mlp.shared_expert.down_proj", "rowwise"}});
    }
    if (num_attending < num_hidden_layers) {
      s.tp_plan.insert(s.tp_plan.end(),
                       {{"layers.*.linear_attn.in_proj_qkvz", "colwise_gather_output"},
                        {"layers.*.linear_attn.in_proj_ba", "colwise_gather_output"},
                        {"layers.*.linear_attn.out_proj", "colwise_gather_output"}});
    }
    return s;
  }
  keel_moe_desc moe() const {
    return {.act = hidden_act,
            .experts = num_experts,
            .top_k = num_experts_per_tok,
            .hidden_size = hidden_size,
            .intermediate_size = moe_intermediate_size,
            .scoring = KEEL_MOE_SOFTMAX,
            .flags = norm_topk_prob ? KEEL_MOE_NORM_TOPK : 0};
  }
};

struct Qwen3NextRMSNorm : RmsNorm {
  Qwen3NextRMSNorm(const Scope& s, int64_t size, double eps)
      : RmsNorm(s, size, eps, 1, KEEL_NORM_CAST_LAST) {}
};

// Attention whose outputs pass a gate: q_proj gives each head's query and its gate.
struct Qwen3NextAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, o_proj;
  Qwen3NextRMSNorm q_norm, k_norm;
  Attention attn;
  Qwen3NextAttention(const Scope& s, const Qwen3NextConfig& c, int layer)
      : head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, c.num_attention_heads * head_dim * 2, c.attention_bias),
        k_proj(s / "k_proj", c.hidden_size, c.num_key_value_heads * head_dim, c.attention_bias),
        v_proj(s / "v_proj", c.hidden_size, c.num_key_value_heads * head_dim, c.attention_bias),
        o_proj(s / "o_proj", c.num_attention_heads * head_dim, c.hidden_size, c.attention_bias),
        q_norm(s / "q_norm", head_dim, c.rms_norm_eps),
        k_norm(s / "k_norm", head_dim, c.rms_norm_eps),
        attn(s, {.layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_key_value_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const std::vector<Tensor> q_gate = q_proj(x).Heads(2 * head_dim).Split({head_dim, head_dim});
    const Tensor q = rope(q_norm(q_gate[0]), positions);
    const Tensor k = rope(k_norm(k_proj(x).Heads(head_dim)), positions);
    const Tensor y = attn(q, k, v_proj(x).Heads(head_dim));
    return o_proj(y.Flat() * q_gate[1].Flat().Sigmoid());
  }
};

// x / sqrt(sum(x^2) + 1e-6) over the last dimension, in fp32: an RMSNorm, but for a factor.
struct L2Norm {
  Norm norm;
  double factor;
  L2Norm(const Scope& s, int64_t size)
      : norm(s, {.kind = KEEL_NORM_RMS,
                 .size = size,
                 .eps = 1e-6 / static_cast<double>(size),
                 .flags = KEEL_NORM_NO_WEIGHT}),
        factor(1 / std::sqrt(static_cast<double>(size))) {}
  // Times `scale`.
  Tensor operator()(Tensor x, double scale = 1) const {
    return norm(x.Cast(KEEL_F32)) * (scale * factor);
  }
};

struct Qwen3NextGatedDeltaNet {
  int64_t key_dim, value_dim, k_heads, v_heads;  // of a head, and their numbers
  uint32_t act;
  Linear in_proj_qkvz, in_proj_ba, out_proj;
  CausalConv1d conv1d;
  Param dt_bias, A_log;
  State recurrent_state;
  L2Norm l2norm;
  RmsNorm norm;
  Qwen3NextGatedDeltaNet(const Scope& s, const Qwen3NextConfig& c, int layer)
      : key_dim(c.linear_key_head_dim),
        value_dim(c.linear_value_head_dim),
        k_heads(c.linear_num_key_heads),
        v_heads(c.linear_num_value_heads),
        act(c.hidden_act),
        in_proj_qkvz(s / "in_proj_qkvz", c.hidden_size,
                     2 * (k_heads * key_dim + v_heads * value_dim)),
        in_proj_ba(s / "in_proj_ba", c.hidden_size, 2 * v_heads),
        out_proj(s / "out_proj", v_heads * value_dim, c.hidden_size),
        conv1d(s / "conv1d", 2 * k_heads * key_dim + v_heads * value_dim, c.linear_conv_kernel_dim,
               layer, false),
        dt_bias(s / "dt_bias", {v_heads}, KEEL_F32),
        A_log(s / "A_log", {v_heads}, KEEL_F32),
        recurrent_state(s / "recurrent_state", {.kind = KEEL_STATE_DELTA,
                                                .layer = layer,
                                                .ndim = 3,
                                                .dtype = KEEL_F32,
                                                .dims = {v_heads, key_dim, value_dim}}),
        l2norm(s / "l2norm", key_dim),
        norm(s / "norm", value_dim, c.rms_norm_eps) {}
  Tensor operator()(Tensor x) const {
    const int64_t ratio = v_heads / std::max<int64_t>(k_heads, 1);
    // Both projections have what belongs to a head of keys side by side.
    const std::vector<Tensor> qkvz =
        in_proj_qkvz(x)
            .Heads(2 * key_dim + 2 * ratio * value_dim)
            .Split({key_dim, key_dim, ratio * value_dim, ratio * value_dim});
    const std::vector<Tensor> ba = in_proj_ba(x).Heads(2 * ratio).Split({ratio, ratio});
    const Tensor mixed = Cat({qkvz[0].Flat(), qkvz[1].Flat(), qkvz[2].Flat()}, -1);
    const std::vector<Tensor> qkv =
        conv1d(mixed).Act(act).Split({k_heads * key_dim, k_heads * key_dim, v_heads * value_dim});

    const Tensor a = ba[1].Flat().Cast(KEEL_F32) + dt_bias(x.run);
    const Tensor g = A_log(x.run).Unary(KEEL_UNARY_EXP) * -1.0 * a.Unary(KEEL_UNARY_SOFTPLUS);
    const double scale = 1 / std::sqrt(static_cast<double>(key_dim));
    const Tensor y = recurrent_state(KEEL_RECUR_GATED_DELTA, l2norm(qkv[0].Heads(key_dim), scale),
                                     {{"k", l2norm(qkv[1].Heads(key_dim))},
                                      {"v", qkv[2].Heads(value_dim)},
                                      {"g", g},
                                      {"beta", ba[0].Flat().Sigmoid()}});
    const Tensor gate = qkvz[3].Flat().Heads(value_dim).Cast(KEEL_F32);
    const Tensor normed = norm(y.Cast(KEEL_DTYPE_MODEL)).Cast(KEEL_F32);
    return out_proj(ActMul(gate, normed, KEEL_ACT_SILU).Cast(KEEL_DTYPE_MODEL).Flat());
  }
};

// Experts, and one that every token passes, with a gate of its own.
struct Qwen3NextSparseMoeBlock : SparseMoe {
  GatedMlp shared_expert;
  Linear shared_expert_gate;
  Qwen3NextSparseMoeBlock(const Scope& s, const Qwen3NextConfig& c)
      : SparseMoe(s, c.moe()),
        shared_expert(s / "shared_expert", c.hidden_size, c.shared_expert_intermediate_size,
                      c.hidden_act),
        shared_expert_gate(s / "shared_expert_gate", c.hidden_size, 1) {}
  Tensor operator()(Tensor x) const {
    return SparseMoe::operator()(x) + shared_expert_gate(x).Sigmoid() * shared_expert(x);
  }
};

struct Qwen3NextDecoderLayer {
  std::optional<Qwen3NextGatedDeltaNet> linear_attn;  // one of the two
  std::optional<Qwen3NextAttention> self_attn;
  std::optional<Qwen3NextSparseMoeBlock> sparse_mlp;  // one of the two
  std::optional<GatedMlp> dense_mlp;
  Qwen3NextRMSNorm input_layernorm, post_attention_layernorm;
  Qwen3NextDecoderLayer(const Scope& s, const Qwen3NextConfig& c, int layer)
      : input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {
    if (c.attends(layer)) {
      self_attn.emplace(s / "self_attn", c, layer);
    } else {
      linear_attn.emplace(s / "linear_attn", c, layer);
    }
    if (c.sparse(layer)) {
      sparse_mlp.emplace(s / "mlp", c);
    } else {
      dense_mlp.emplace(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act);
    }
  }
  Tensor mlp(Tensor x) const { return sparse_mlp ? (*sparse_mlp)(x) : (*dense_mlp)(x); }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor normed = input_layernorm(x);
    x = x + (self_attn ? (*self_attn)(normed, rope, positions) : (*linear_attn)(normed));
    return x + mlp(post_attention_layernorm(x));
  }
};

struct Qwen3NextForCausalLM {
  static constexpr const char* kModelType = "qwen3_next";
  static constexpr const char* kArchitectures[] = {"Qwen3NextForCausalLM"};
  using ConfigType = Qwen3NextConfig;

  Rope rotary_emb;
  Qwen3NextRMSNorm norm;
  LayerList<Qwen3NextDecoderLayer> layers;
  Qwen3NextForCausalLM(const Scope& root, const Qwen3NextConfig& c)
      : rotary_emb(root, {.head_dim = c.head_dim, .theta = 10000, .partial_rotary_factor = 0.25}),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", std::ssize(c.layer_types), c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen3_next", "0.1.0", keel::Qwen3NextForCausalLM);

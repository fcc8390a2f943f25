// DeepSeek-V3 (arXiv:2412.19437), as in transformers' models/deepseek_v3: latent attention, and a mixture of experts in
// groups beside shared ones.
#include <cmath>
#include <optional>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/moe.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct DeepseekV3Config : DenseConfig {
  int64_t q_lora_rank, kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim;
  int64_t first_k_dense_replace, moe_intermediate_size, n_shared_experts, n_routed_experts,
      num_experts_per_tok, n_group, topk_group;
  double routed_scaling_factor, attention_scale;
  bool norm_topk_prob, attention_bias, rope_interleave;
  explicit DeepseekV3Config(const Config& c)
      : DenseConfig(c, {.max_position_embeddings = 4096}),
        q_lora_rank(c.IsNull("q_lora_rank") ? 0 : c.Int("q_lora_rank", 1536)),
        kv_lora_rank(c.Int("kv_lora_rank", 512)),
        qk_nope_head_dim(c.Int("qk_nope_head_dim", 128)),
        qk_rope_head_dim(c.Int("qk_rope_head_dim", 64)),
        v_head_dim(c.Int("v_head_dim", 128)),
        first_k_dense_replace(c.Int("first_k_dense_replace", 3)),
        moe_intermediate_size(c.Int("moe_intermediate_size", 2048)),
        n_shared_experts(c.Int("n_shared_experts", 1)),
        n_routed_experts(c.Int("n_routed_experts|num_local_experts", 256)),
        num_experts_per_tok(c.Int("num_experts_per_tok", 8)),
        n_group(c.Int("n_group", 8)),
        topk_group(c.Int("topk_group", 4)),
        routed_scaling_factor(c.Real("routed_scaling_factor", 2.5)),
        attention_scale(1 / std::sqrt(static_cast<double>(qk_head_dim()))),
        norm_topk_prob(c.Bool("norm_topk_prob", true)),
        attention_bias(c.Bool("attention_bias", false)),
        rope_interleave(c.Bool("rope_interleave", true)) {
    // YaRN's temperature, which transformers has in the scale where mscale_all_dim says so.
    const double mscale = c.Real("rope_parameters/mscale_all_dim|rope_scaling/mscale_all_dim", 0);
    const double factor = c.Real("rope_parameters/factor|rope_scaling/factor", 1);
    if (mscale != 0 && factor > 1)
      attention_scale *= std::pow(0.1 * mscale * std::log(factor) + 1, 2);
  }
  int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
  bool sparse(int layer) const { return layer >= first_k_dense_replace; }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    // transformers splits the MLPs and the head; the heads of latent attention go apart as well.
    s.tp_plan = {
        {"layers.*.self_attn.kv_b_proj", "colwise"},
        {q_lora_rank > 0 ? "layers.*.self_attn.q_b_proj" : "layers.*.self_attn.q_proj", "colwise"},
        {"layers.*.self_attn.o_proj", "rowwise"},
        {"lm_head", "colwise_gather_output"}};
    if (first_k_dense_replace > 0) {
      s.tp_plan.insert(s.tp_plan.end(), {{"layers.*.mlp.gate_proj", "colwise"},
                                         {"layers.*.mlp.up_proj", "colwise"},
                                         {"layers.*.mlp.down_proj", "rowwise"}});
    }
    if (first_k_dense_replace < num_hidden_layers) {
      PlanExperts(s);
      s.tp_plan.insert(s.tp_plan.end(), {{"layers.*.mlp.shared_experts.gate_proj", "colwise"},
                                         {"layers.*.mlp.shared_experts.up_proj", "colwise"},
                                         {"layers.*.mlp.shared_experts.down_proj", "rowwise"}});
    }
    s.renames = {{.from = {"(.*)\\.gate\\.(e_score_correction_bias)"}, .to = {"\\1.experts.\\2"}},
                 // The layer behind the last predicts one token more.
                 {.op = KEEL_RENAME_IGNORE,
                  .from = {"model\\.layers\\." + std::to_string(num_hidden_layers) + "\\..*"}}};
    return s;
  }
  keel_moe_desc moe() const {
    return {.act = hidden_act,
            .experts = n_routed_experts,
            .top_k = num_experts_per_tok,
            .hidden_size = hidden_size,
            .intermediate_size = moe_intermediate_size,
            .groups = n_group,
            .top_groups = topk_group,
            .scoring = KEEL_MOE_SIGMOID,
            .flags = norm_topk_prob ? KEEL_MOE_NORM_TOPK : 0,
            .routed_scale = routed_scaling_factor,
            .gate = "{e}.gate_proj",
            .up = "{e}.up_proj",
            .down = "{e}.down_proj",
            .score_bias = "e_score_correction_bias"};
  }
};

struct DeepseekV3Attention {
  int64_t nope, rope_dim, rank;
  std::optional<Linear> q_proj, q_a_proj, q_b_proj;  // the first, or the others
  std::optional<RmsNorm> q_a_layernorm;
  Linear kv_a_proj_with_mqa, kv_b_proj, o_proj;
  RmsNorm kv_a_layernorm;
  Attention attn;
  DeepseekV3Attention(const Scope& s, const DeepseekV3Config& c, int layer)
      : nope(c.qk_nope_head_dim),
        rope_dim(c.qk_rope_head_dim),
        rank(c.kv_lora_rank),
        kv_a_proj_with_mqa(s / "kv_a_proj_with_mqa", c.hidden_size, rank + rope_dim,
                           c.attention_bias),
        kv_b_proj(s / "kv_b_proj", rank, c.num_attention_heads * (nope + c.v_head_dim)),
        o_proj(s / "o_proj", c.num_attention_heads * c.v_head_dim, c.hidden_size, c.attention_bias),
        kv_a_layernorm(s / "kv_a_layernorm", rank, 1e-6),
        attn(s, {.kind = KEEL_ATTENTION_MLA,
                 .layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = 1,
                 .qk_dim = c.qk_head_dim(),
                 .v_dim = c.v_head_dim,
                 .kv_lora_rank = rank,
                 .rope_dim = rope_dim,
                 .scale = c.attention_scale,
                 .kv_up = kv_b_proj.object}) {
    const int64_t q_size = c.num_attention_heads * c.qk_head_dim();
    if (c.q_lora_rank > 0) {
      q_a_proj.emplace(s / "q_a_proj", c.hidden_size, c.q_lora_rank, c.attention_bias);
      q_a_layernorm.emplace(s / "q_a_layernorm", c.q_lora_rank, 1e-6);
      q_b_proj.emplace(s / "q_b_proj", c.q_lora_rank, q_size);
    } else {
      q_proj.emplace(s / "q_proj", c.hidden_size, q_size);
    }
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor q_states = q_proj ? (*q_proj)(x) : (*q_b_proj)((*q_a_layernorm)((*q_a_proj)(x)));
    const std::vector<Tensor> q = q_states.Heads(nope + rope_dim).Split({nope, rope_dim});
    const std::vector<Tensor> kv = kv_a_proj_with_mqa(x).Split({rank, rope_dim});
    const Tensor latent = kv_a_layernorm(kv[0]).Heads(rank);
    const Tensor k_rot = rope(kv[1].Heads(rope_dim), positions);
    return o_proj(attn(Cat({q[0], rope(q[1], positions)}, -1), latent, k_rot).Flat());
  }
};

struct DeepseekV3MoE {
  Param gate;  // in fp32, as the product with it is
  Moe experts;
  GatedMlp shared_experts;
  DeepseekV3MoE(const Scope& s, const DeepseekV3Config& c)
      : gate(s / "gate" / "weight", {c.n_routed_experts, c.hidden_size}, KEEL_F32),
        experts(s / "experts", c.moe()),
        shared_experts(s / "shared_experts", c.hidden_size,
                       c.moe_intermediate_size * c.n_shared_experts, c.hidden_act) {}
  Tensor operator()(Tensor x) const {
    const Tensor router_logits = MatMul(x.Cast(KEEL_F32), gate(x.run).Permute({1, 0}));
    return experts(x, router_logits) + shared_experts(x);
  }
};

struct DeepseekV3DecoderLayer {
  DeepseekV3Attention self_attn;
  std::optional<DeepseekV3MoE> sparse_mlp;  // one of the two
  std::optional<GatedMlp> dense_mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  DeepseekV3DecoderLayer(const Scope& s, const DeepseekV3Config& c, int layer)
      : self_attn(s / "self_attn", c, layer),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {
    if (c.sparse(layer)) {
      sparse_mlp.emplace(s / "mlp", c);
    } else {
      dense_mlp.emplace(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act);
    }
  }
  Tensor mlp(Tensor x) const { return sparse_mlp ? (*sparse_mlp)(x) : (*dense_mlp)(x); }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct DeepseekV3ForCausalLM {
  static constexpr const char* kModelType = "deepseek_v3";
  static constexpr const char* kArchitectures[] = {"DeepseekV3ForCausalLM"};
  using ConfigType = DeepseekV3Config;

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<DeepseekV3DecoderLayer> layers;
  DeepseekV3ForCausalLM(const Scope& root, const DeepseekV3Config& c)
      : rotary_emb(root, {.layout = c.rope_interleave ? KEEL_ROPE_INTERLEAVED : KEEL_ROPE_HALVES,
                          .head_dim = c.qk_rope_head_dim,
                          .theta = c.rope_theta}),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.deepseek_v3", "0.1.0", keel::DeepseekV3ForCausalLM);

// Mixtures of experts whose files hold all experts in one tensor, as in transformers' models/<name>.
#ifndef KEEL_TESTS_RECORDED_ZOO_SPARSE_H_
#define KEEL_TESTS_RECORDED_ZOO_SPARSE_H_

#include <string>
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {

// ---- GraniteMoe: [experts, 2 I, H] taken apart, multipliers everywhere ----

struct GraniteMoeConfig : DenseConfig {
  int64_t num_local_experts, num_experts_per_tok;
  double embedding_multiplier, residual_multiplier, attention_multiplier, logits_scaling;
  explicit GraniteMoeConfig(const Config& c)
      : DenseConfig(c),
        num_local_experts(c.Int("num_local_experts")),
        num_experts_per_tok(c.Int("num_experts_per_tok")),
        embedding_multiplier(c.Real("embedding_multiplier", 1)),
        residual_multiplier(c.Real("residual_multiplier", 1)),
        attention_multiplier(c.Real("attention_multiplier", 1)),
        logits_scaling(c.Real("logits_scaling", 1)) {}
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.embed_scale = embedding_multiplier;
    s.logit_scale = 1 / logits_scaling;
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"},
                 {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"},
                 {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.block_sparse_moe.experts", "moe_tp_experts"}};
    s.renames = {{.op = KEEL_RENAME_UNSTACK,
                  .from = {R"((.*block_sparse_moe\.)input_linear\.weight)"},
                  .to = {R"(\1experts.{e}.gate_up.weight)"},
                  .dim = 0},
                 {.op = KEEL_RENAME_SPLIT,
                  .from = {R"((.*experts\.\d+\.)gate_up\.weight)"},
                  .to = {R"(\1gate_proj.weight)", R"(\1up_proj.weight)"},
                  .dim = 0},
                 {.op = KEEL_RENAME_UNSTACK,
                  .from = {R"((.*block_sparse_moe\.)output_linear\.weight)"},
                  .to = {R"(\1experts.{e}.down_proj.weight)"},
                  .dim = 0}};
    return s;
  }
};

struct GraniteMoeLayer {
  double residual_multiplier;
  RopeAttention self_attn;
  Linear router;
  Moe experts;
  RmsNorm input_layernorm, post_attention_layernorm;
  GraniteMoeLayer(const Scope& s, const GraniteMoeConfig& c, int layer)
      : residual_multiplier(c.residual_multiplier),
        self_attn(s / "self_attn", c, layer, {.scale = c.attention_multiplier}),
        router(s / "block_sparse_moe" / "router" / "layer", c.hidden_size, c.num_local_experts),
        experts(s / "block_sparse_moe" / "experts", {.act = c.hidden_act,
                                                     .experts = c.num_local_experts,
                                                     .top_k = c.num_experts_per_tok,
                                                     .hidden_size = c.hidden_size,
                                                     .intermediate_size = c.intermediate_size,
                                                     .scoring = KEEL_MOE_TOPK_SOFTMAX,
                                                     .gate = "{e}.gate_proj",
                                                     .up = "{e}.up_proj",
                                                     .down = "{e}.down_proj"}),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + residual_multiplier * self_attn(input_layernorm(x), rope, positions);
    const Tensor h = post_attention_layernorm(x);
    return x + residual_multiplier * experts(h, router(h));
  }
};

struct GraniteMoeForCausalLM : DenseDecoder<GraniteMoeConfig, GraniteMoeLayer> {
  static constexpr const char* kModelType = "granitemoe";
  static constexpr const char* kArchitectures[] = {"GraniteMoeForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

// ---- Llama 4: chunks, queries scaled by position, a router that scales what experts get ----

struct Llama4Config : DenseConfig {
  int64_t attention_chunk_size, num_local_experts;
  double floor_scale, attn_scale;
  std::vector<bool> rotates;
  explicit Llama4Config(const Config& c)
      : DenseConfig(c, {.rms_norm_eps = 1e-5, .rope_theta = 500000}),
        attention_chunk_size(c.Int("attention_chunk_size", 8192)),
        num_local_experts(c.Int("num_local_experts", 16)),
        floor_scale(c.Real("floor_scale", 8192)),
        attn_scale(c.Real("attn_scale", 0.1)) {
    if (c.Int("num_experts_per_tok", 1) != 1) c.Fail("num_experts_per_tok", "expected 1");
    for (int64_t i = 0; i < num_hidden_layers; ++i)
      rotates.push_back(c.Int(("no_rope_layers/" + std::to_string(i)).c_str(), (i + 1) % 4 != 0));
  }
  keel_rope_desc rope() const {
    return {.layout = KEEL_ROPE_INTERLEAVED, .head_dim = head_dim, .theta = rope_theta};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"},
                 {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"},
                 {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.feed_forward.shared_expert.gate_proj", "colwise"},
                 {"layers.*.feed_forward.shared_expert.up_proj", "colwise"},
                 {"layers.*.feed_forward.shared_expert.down_proj", "rowwise"}};
    // In the file [experts, H, 2 I] and [experts, I, H].
    s.renames = {
        {.op = KEEL_RENAME_UNSTACK,
         .from = {R"((.*feed_forward\.experts\.)gate_up_proj)"},
         .to = {R"(\1{e}.gate_up_t)"},
         .dim = 0},
        {.op = KEEL_RENAME_TRANSPOSE, .from = {R"((.*experts\.\d+\.gate_up)_t)"}, .to = {R"(\1)"}},
        {.op = KEEL_RENAME_SPLIT,
         .from = {R"((.*experts\.\d+\.)gate_up)"},
         .to = {R"(\1gate_proj.weight)", R"(\1up_proj.weight)"},
         .dim = 0},
        {.op = KEEL_RENAME_UNSTACK,
         .from = {R"((.*feed_forward\.experts\.)down_proj)"},
         .to = {R"(\1{e}.down_t)"},
         .dim = 0},
        {.op = KEEL_RENAME_TRANSPOSE,
         .from = {R"((.*experts\.\d+\.)down_t)"},
         .to = {R"(\1down_proj.weight)"}}};
    return s;
  }
};

struct Llama4Moe {
  Linear router;
  Moe experts;
  GatedMlp shared_expert;
  Llama4Moe(const Scope& s, const Llama4Config& c)
      : router(s / "router", c.hidden_size, c.num_local_experts),
        experts(s / "experts", {.act = c.hidden_act,
                                .experts = c.num_local_experts,
                                .top_k = 1,
                                .hidden_size = c.hidden_size,
                                .intermediate_size = c.intermediate_size,
                                .gate = "{e}.gate_proj",
                                .up = "{e}.up_proj",
                                .down = "{e}.down_proj"}),
        shared_expert(s / "shared_expert", c.hidden_size, c.intermediate_size, c.hidden_act) {}
  // The one expert's input is scaled, not its result.
  Tensor operator()(Tensor x) const {
    const auto [scores, ids] = router(x).TopK(1);
    const Tensor ones = scores * 0 + 1;
    return shared_expert(x) + experts.Routed(x * scores.Sigmoid(), ids, ones);
  }
};

struct Llama4Layer {
  bool rotates;
  int64_t head_dim;
  double floor_scale, attn_scale;
  Linear q_proj, k_proj, v_proj, o_proj;
  Norm qk_norm;
  Attention attn;
  Llama4Moe feed_forward;
  RmsNorm input_layernorm, post_attention_layernorm;
  Llama4Layer(const Scope& s, const Llama4Config& c, int layer)
      : rotates(c.rotates[static_cast<size_t>(layer)]),
        head_dim(c.head_dim),
        floor_scale(c.floor_scale),
        attn_scale(c.attn_scale),
        q_proj(s / "self_attn" / "q_proj", c.hidden_size, c.num_attention_heads * head_dim),
        k_proj(s / "self_attn" / "k_proj", c.hidden_size, c.num_key_value_heads * head_dim),
        v_proj(s / "self_attn" / "v_proj", c.hidden_size, c.num_key_value_heads * head_dim),
        o_proj(s / "self_attn" / "o_proj", c.num_attention_heads * head_dim, c.hidden_size),
        qk_norm(s / "self_attn" / "qk_norm",
                RmsNorm::Desc(head_dim, c.rms_norm_eps, 0, KEEL_NORM_NO_WEIGHT)),
        attn(s / "self_attn", {.layer = layer,
                               .heads = c.num_attention_heads,
                               .kv_heads = c.num_key_value_heads,
                               .qk_dim = head_dim,
                               .v_dim = head_dim,
                               .chunk = rotates ? c.attention_chunk_size : 0}),
        feed_forward(s / "feed_forward", c),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  // 1 + attn_scale * log(1 + floor((position + 1) / floor_scale)), [N, 1, 1].
  Tensor Temperature(Tensor positions) const {
    const Tensor steps =
        ((positions.Cast(KEEL_F32) + 1) * (1 / floor_scale)).Unary(KEEL_UNARY_FLOOR);
    return ((steps + 1).Unary(KEEL_UNARY_LOG) * attn_scale + 1)
        .View({0, 1, 1})
        .Cast(KEEL_DTYPE_MODEL);
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor h = input_layernorm(x);
    Tensor q = q_proj(h).Heads(head_dim), k = k_proj(h).Heads(head_dim);
    if (rotates) {
      q = qk_norm(rope(q, positions)), k = qk_norm(rope(k, positions));
    } else {
      q = q * Temperature(positions);
    }
    x = x + o_proj(attn(q, k, v_proj(h).Heads(head_dim)).Flat());
    return x + feed_forward(post_attention_layernorm(x));
  }
};

struct Llama4ForCausalLM : DenseDecoder<Llama4Config, Llama4Layer> {
  static constexpr const char* kModelType = "llama4_text";
  static constexpr const char* kArchitectures[] = {"Llama4ForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_ZOO_SPARSE_H_

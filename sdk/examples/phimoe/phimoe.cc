// Phi-3.5-MoE (arXiv:2404.14219), as in transformers' models/phimoe: a mixture of experts with a router of its own,
// SparseMixer (arXiv:2409.12136): the second expert is weighed among what is left without the first.
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

struct PhimoeConfig : DenseConfig {
  int64_t num_local_experts;
  double router_jitter_noise;
  bool attention_bias, lm_head_bias;
  explicit PhimoeConfig(const Config& c)
      : DenseConfig(
            c, {.max_position_embeddings = 4096 * 32, .rms_norm_eps = 1e-5, .rope_theta = 1e6}),
        num_local_experts(c.Int("num_local_experts", 16)),
        router_jitter_noise(c.Real("router_jitter_noise", 0.01)),
        attention_bias(c.Bool("attention_bias", false)),
        lm_head_bias(c.Bool("lm_head_bias", false)) {
    if (c.Int("num_experts_per_tok", 2) != 2)
      c.Fail("num_experts_per_tok", "is not 2: SparseMixer chooses two experts");
    if (tie_word_embeddings) c.Fail("tie_word_embeddings", "is true, expected false");
    if (c.Has("sliding_window")) c.Fail("sliding_window", "is set, expected null");
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"},
                 {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"},
                 {"layers.*.self_attn.o_proj", "rowwise"}};
    return s;
  }
};

// Chooses two experts of each token by their scores [N, E], and their weights.
struct SparseMixer {
  int64_t experts;
  double jitter_eps;

  // 1 / sum of exp(score - best) over the allowed scores that are near the best [N, 1].
  Tensor Weight(Tensor scores, Tensor best, Tensor allowed) const {
    const Tensor factor = Maximum(scores.Unary(KEEL_UNARY_ABS), best);
    const Tensor limit = Constant(scores.run, {1}, {static_cast<float>(2 * jitter_eps)});
    const Tensor is_near = Not(((best - scores) / factor).Compare(limit, KEEL_COMPARE_GT));
    const Tensor counts = And(is_near, allowed).Cast(KEEL_F32);
    const Tensor sum = ((scores - best).Unary(KEEL_UNARY_EXP) * counts).Sum(-1, true);
    return Constant(scores.run, {1}, {1}) / sum;
  }

  // {ids, weights}, each [N, 2].
  std::pair<Tensor, Tensor> operator()(Tensor logits) const {
    const Tensor scores = logits.Cast(KEEL_F32);
    const auto [best, ids] = scores.TopK(2);
    std::vector<float> numbers;
    for (int64_t e = 0; e < experts; ++e) numbers.push_back(static_cast<float>(e));
    const Tensor first_id = ids.Narrow(-1, 0, 1).Cast(KEEL_F32);
    const Tensor is_other =
        Constant(scores.run, {experts}, numbers).Compare(first_id, KEEL_COMPARE_NE);
    const Tensor everyone = scores.Compare(scores, KEEL_COMPARE_EQ);
    const Tensor first = Weight(scores, best.Narrow(-1, 0, 1), everyone);
    const Tensor second = Weight(scores, best.Narrow(-1, 1, 1), is_other);
    return {ids, Cat({first, second}, -1).Cast(KEEL_DTYPE_MODEL)};
  }
};

struct PhimoeSparseMoeBlock {
  Linear gate;
  SparseMixer router;
  Moe experts;
  PhimoeSparseMoeBlock(const Scope& s, const PhimoeConfig& c)
      : gate(s / "gate", c.hidden_size, c.num_local_experts),
        router{c.num_local_experts, c.router_jitter_noise},
        experts(s / "experts", {.act = c.hidden_act,
                                .experts = c.num_local_experts,
                                .top_k = 2,
                                .hidden_size = c.hidden_size,
                                .intermediate_size = c.intermediate_size,
                                .gate = "{e}.w1",
                                .up = "{e}.w3",
                                .down = "{e}.w2"}) {}
  Tensor operator()(Tensor x) const {
    const auto [ids, weights] = router(gate(x));
    return experts.Routed(x, ids, weights);
  }
};

struct PhimoeDecoderLayer {
  RopeAttention self_attn;
  PhimoeSparseMoeBlock block_sparse_moe;
  LayerNorm input_layernorm, post_attention_layernorm;
  PhimoeDecoderLayer(const Scope& s, const PhimoeConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer,
                  {.qkv_bias = c.attention_bias, .output_bias = c.attention_bias}),
        block_sparse_moe(s / "block_sparse_moe", c),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + block_sparse_moe(post_attention_layernorm(x));
  }
};

struct PhimoeForCausalLM {
  static constexpr const char* kModelType = "phimoe";
  static constexpr const char* kArchitectures[] = {"PhimoeForCausalLM"};
  using ConfigType = PhimoeConfig;

  Rope rotary_emb;
  LayerNorm norm;
  LayerList<PhimoeDecoderLayer> layers;
  Linear lm_head;
  PhimoeForCausalLM(const Scope& root, const PhimoeConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c),
        lm_head(root / "lm_head", c.hidden_size, c.vocab_size, c.lm_head_bias) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
  Tensor Logits(Tensor hidden) const { return lm_head(hidden); }
};

}  // namespace

KEEL_PLUGIN("org.example.phimoe", "1.0.0", PhimoeForCausalLM);

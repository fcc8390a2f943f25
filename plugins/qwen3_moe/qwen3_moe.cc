// Qwen3-MoE (arXiv:2505.09388), as in transformers' models/qwen3_moe: Qwen3 whose MLP is, in most layers, a router over
// many small ones.
#include <algorithm>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/moe.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen3MoeConfig : DenseConfig {
  int64_t moe_intermediate_size, num_experts, num_experts_per_tok, decoder_sparse_step;
  bool norm_topk_prob, attention_bias;
  std::vector<int64_t> mlp_only_layers;
  WindowedLayers windows;
  explicit Qwen3MoeConfig(const Config& c)
      : DenseConfig(c, {.num_key_value_heads = 4, .max_position_embeddings = 32768}),
        moe_intermediate_size(c.Int("moe_intermediate_size", 768)),
        num_experts(c.Int("num_experts|num_local_experts", 128)),
        num_experts_per_tok(c.Int("num_experts_per_tok", 8)),
        decoder_sparse_step(c.Int("decoder_sparse_step", 1)),
        norm_topk_prob(c.Bool("norm_topk_prob", false)),
        attention_bias(c.Bool("attention_bias", false)),
        mlp_only_layers(c.Ints("mlp_only_layers")),
        windows(c) {
    if (decoder_sparse_step < 1) {
      c.Fail("decoder_sparse_step", "is less than 1, expected every how many layers one is sparse");
      decoder_sparse_step = 1;
    }
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    // Only rules that match something: all layers may be sparse, and in most files are.
    int64_t num_sparse = 0;
    for (int i = 0; i < num_hidden_layers; ++i) num_sparse += sparse(i);
    if (num_sparse == num_hidden_layers) {
      std::erase_if(s.tp_plan, [](const TpRule& rule) {
        return std::string_view(rule.pattern).starts_with("layers.*.mlp.");
      });
    }
    if (num_sparse > 0) PlanExperts(s);
    return s;
  }
  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = attention_bias,
            .output_bias = attention_bias,
            .qk_norm = RmsNorm::Desc(head_dim, rms_norm_eps),
            .window = windows(layer)};
  }
  bool sparse(int layer) const {
    const bool mlp_only =
        std::find(mlp_only_layers.begin(), mlp_only_layers.end(), layer) != mlp_only_layers.end();
    return !mlp_only && num_experts > 0 && (layer + 1) % decoder_sparse_step == 0;
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

struct Qwen3MoeDecoderLayer {
  RopeAttention self_attn;
  std::optional<SparseMoe> sparse_mlp;  // one of the two
  std::optional<GatedMlp> dense_mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  Qwen3MoeDecoderLayer(const Scope& s, const Qwen3MoeConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer, c.attention(layer)),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {
    if (c.sparse(layer)) {
      sparse_mlp.emplace(s / "mlp", c.moe());
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

struct Qwen3MoeForCausalLM : DenseDecoder<Qwen3MoeConfig, Qwen3MoeDecoderLayer> {
  static constexpr const char* kModelType = "qwen3_moe";
  static constexpr const char* kArchitectures[] = {"Qwen3MoeForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen3_moe", "0.1.0", keel::Qwen3MoeForCausalLM);

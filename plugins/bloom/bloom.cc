// BLOOM (arXiv:2211.05100), as in transformers' models/bloom: no positions, but a penalty on distance in each head
// (ALiBi, arXiv:2108.12409), and a checkpoint that holds q, k and v of a head side by side.
#include <cmath>

#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct BloomConfig {
  int64_t hidden_size, n_layer, n_head, head_dim, vocab_size;
  double layer_norm_epsilon;
  bool apply_residual_connection_post_layernorm, tie_word_embeddings;
  explicit BloomConfig(const Config& c)
      : hidden_size(c.Int("hidden_size|n_embed", 64)),
        n_layer(c.Int("n_layer|num_hidden_layers", 2)),
        n_head(c.Int("n_head|num_attention_heads", 8)),
        head_dim(n_head > 0 ? hidden_size / n_head : 0),
        vocab_size(c.Int("vocab_size", 250880)),
        layer_norm_epsilon(c.Real("layer_norm_epsilon", 1e-5)),
        apply_residual_connection_post_layernorm(
            c.Bool("apply_residual_connection_post_layernorm", false)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", true)) {
    if (head_dim * n_head != hidden_size)
      c.Fail("n_head", "does not divide hidden_size, expected heads of equal size");
  }
  Spec spec() const {
    Spec s;
    s.num_layers = n_layer;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.tie_word_embeddings = tie_word_embeddings;
    s.base_model_prefix = "transformer";
    s.embed_tokens = "transformer.word_embeddings";
    // Keel's own: transformers states none, as q, k and v are one linear there.
    s.tp_plan = {{"h.*.self_attention.q_proj", "colwise"}, {"h.*.self_attention.k_proj", "colwise"},
                 {"h.*.self_attention.v_proj", "colwise"}, {"h.*.self_attention.dense", "rowwise"},
                 {"h.*.mlp.dense_h_to_4h", "colwise"},     {"h.*.mlp.dense_4h_to_h", "rowwise"},
                 {"lm_head", "colwise_gather_output"}};
    s.pp_plan = {{"word_embeddings", {"input_ids"}, {"inputs_embeds"}},
                 {"word_embeddings_layernorm", {"inputs_embeds"}, {"hidden_states"}},
                 {"h", {"hidden_states", "attention_mask"}, {"hidden_states"}},
                 {"ln_f", {"hidden_states"}, {"hidden_states"}}};
    s.renames = {{.op = KEEL_RENAME_CHUNK_HEADS,
                  .from = {R"((.*self_attention\.)query_key_value\.(weight|bias))"},
                  .to = {R"(\1q_proj.\2)", R"(\1k_proj.\2)", R"(\1v_proj.\2)"},
                  .sizes = {head_dim, head_dim, head_dim}}};
    return s;
  }
};

// build_alibi_tensor: a geometric sequence, for a number of heads that is no power of two filled up
// from between the terms.
std::vector<float> AlibiSlopes(int64_t heads) {
  const double power = std::exp2(std::floor(std::log2(static_cast<double>(heads))));
  std::vector<float> slopes;
  for (int i = 1; i <= power; ++i) slopes.push_back(static_cast<float>(std::exp2(-8 / power * i)));
  for (int i = 1; static_cast<int64_t>(slopes.size()) < heads; i += 2)
    slopes.push_back(static_cast<float>(std::exp2(-4 / power * i)));
  return slopes;
}

struct BloomAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, dense;
  Attention attn;
  BloomAttention(const Scope& s, const BloomConfig& c, int layer)
      : head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, c.hidden_size, true),
        k_proj(s / "k_proj", c.hidden_size, c.hidden_size, true),
        v_proj(s / "v_proj", c.hidden_size, c.hidden_size, true),
        dense(s / "dense", c.hidden_size, c.hidden_size, true),
        attn(s, {.layer = layer,
                 .heads = c.n_head,
                 .kv_heads = c.n_head,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, Tensor alibi_slopes) const {
    return dense(attn(q_proj(x).Heads(head_dim), k_proj(x).Heads(head_dim),
                      v_proj(x).Heads(head_dim), {{"alibi_slopes", alibi_slopes}})
                     .Flat());
  }
};

struct BloomMLP {
  Linear dense_h_to_4h, dense_4h_to_h;
  BloomMLP(const Scope& s, const BloomConfig& c)
      : dense_h_to_4h(s / "dense_h_to_4h", c.hidden_size, 4 * c.hidden_size, true),
        dense_4h_to_h(s / "dense_4h_to_h", 4 * c.hidden_size, c.hidden_size, true) {}
  Tensor operator()(Tensor x) const {
    return dense_4h_to_h(dense_h_to_4h(x).Act(KEEL_ACT_GELU_TANH));
  }
};

struct BloomBlock {
  LayerNorm input_layernorm, post_attention_layernorm;
  BloomAttention self_attention;
  BloomMLP mlp;
  bool residual_post_layernorm;
  BloomBlock(const Scope& s, const BloomConfig& c, int layer)
      : input_layernorm(s / "input_layernorm", c.hidden_size, c.layer_norm_epsilon),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size,
                                 c.layer_norm_epsilon),
        self_attention(s / "self_attention", c, layer),
        mlp(s / "mlp", c),
        residual_post_layernorm(c.apply_residual_connection_post_layernorm) {}
  Tensor operator()(Tensor x, Tensor alibi_slopes) const {
    Tensor normed = input_layernorm(x);
    x = (residual_post_layernorm ? normed : x) + self_attention(normed, alibi_slopes);
    normed = post_attention_layernorm(x);
    return (residual_post_layernorm ? normed : x) + mlp(normed);
  }
};

struct BloomForCausalLM {
  static constexpr const char* kModelType = "bloom";
  static constexpr const char* kArchitectures[] = {"BloomForCausalLM"};
  using ConfigType = BloomConfig;

  int64_t n_head;
  LayerNorm word_embeddings_layernorm, ln_f;
  LayerList<BloomBlock> h;
  BloomForCausalLM(const Scope& root, const BloomConfig& c)
      : n_head(c.n_head),
        word_embeddings_layernorm(root / "transformer" / "word_embeddings_layernorm", c.hidden_size,
                                  c.layer_norm_epsilon),
        ln_f(root / "transformer" / "ln_f", c.hidden_size, c.layer_norm_epsilon),
        h(root / "transformer" / "h", c.n_layer, c) {}
  Tensor Forward(const Inputs& in) const {
    const Tensor alibi_slopes = Constant(in.run, {n_head}, AlibiSlopes(n_head));
    return ln_f(h(word_embeddings_layernorm(in.embeds), alibi_slopes));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.bloom", "0.1.0", keel::BloomForCausalLM);

// Falcon (arXiv:2311.16867), as in transformers' models/falcon: attention and MLP side by side on one norm, and no
// positions but a penalty on distance in each head (ALiBi, arXiv:2108.12409). The shape of Falcon-RW with parallel_attn;
// what rotates or groups heads is refused.
#include <cmath>

#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

struct FalconConfig {
  int64_t hidden_size, num_hidden_layers, num_attention_heads, head_dim, ffn_hidden_size,
      vocab_size;
  double layer_norm_epsilon;
  uint32_t activation;
  bool bias, tie_word_embeddings;
  explicit FalconConfig(const Config& c)
      : hidden_size(c.Int("hidden_size", 4544)),
        num_hidden_layers(c.Int("num_hidden_layers", 32)),
        num_attention_heads(c.Int("num_attention_heads", 71)),
        head_dim(num_attention_heads > 0 ? hidden_size / num_attention_heads : 0),
        ffn_hidden_size(c.Int("ffn_hidden_size", 4 * hidden_size)),
        vocab_size(c.Int("vocab_size", 65024)),
        layer_norm_epsilon(c.Real("layer_norm_epsilon", 1e-5)),
        activation(c.Activation("activation", "gelu")),
        bias(c.Bool("bias", false)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", true)) {
    if (head_dim * num_attention_heads != hidden_size)
      c.Fail("num_attention_heads", "does not divide hidden_size, expected heads of equal size");
    Expect(c, "alibi", false, true);
    Expect(c, "parallel_attn", true, true);
    Expect(c, "multi_query", true, false);
    Expect(c, "new_decoder_architecture", false, false);
  }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.tie_word_embeddings = tie_word_embeddings;
    s.base_model_prefix = "transformer";
    s.embed_tokens = "transformer.word_embeddings";
    s.renames = {{.op = KEEL_RENAME_CHUNK_HEADS,
                  .from = {R"((.*self_attention\.)query_key_value\.(weight|bias))"},
                  .to = {R"(\1q_proj.\2)", R"(\1k_proj.\2)", R"(\1v_proj.\2)"},
                  .sizes = {head_dim, head_dim, head_dim}}};
    return s;
  }

 private:
  static void Expect(const Config& c, const char* key, bool dflt, bool wanted) {
    if (c.Bool(key, dflt) != wanted)
      c.Fail(key, std::string("is ") + (wanted ? "false, expected true" : "true, expected false") +
                      ": this plugin serves Falcons with ALiBi and parallel attention");
  }
};

// build_alibi_tensor, with the scale of the scores. transformers rounds a slope times a position to bfloat16, which
// shows from position 257 on; here it is exact.
std::vector<float> AlibiSlopes(int64_t heads, int64_t head_dim) {
  const double power = std::exp2(std::floor(std::log2(static_cast<double>(heads))));
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  std::vector<float> slopes;
  for (int i = 1; i <= power; ++i)
    slopes.push_back(static_cast<float>(scale * std::exp2(-8 / power * i)));
  for (int i = 1; static_cast<int64_t>(slopes.size()) < heads; i += 2)
    slopes.push_back(static_cast<float>(scale * std::exp2(-4 / power * i)));
  return slopes;
}

struct FalconAttention {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, dense;
  Attention attn;
  FalconAttention(const Scope& s, const FalconConfig& c, int layer)
      : head_dim(c.head_dim),
        q_proj(s / "q_proj", c.hidden_size, c.hidden_size, c.bias),
        k_proj(s / "k_proj", c.hidden_size, c.hidden_size, c.bias),
        v_proj(s / "v_proj", c.hidden_size, c.hidden_size, c.bias),
        dense(s / "dense", c.hidden_size, c.hidden_size, c.bias),
        attn(s, {.layer = layer,
                 .heads = c.num_attention_heads,
                 .kv_heads = c.num_attention_heads,
                 .qk_dim = head_dim,
                 .v_dim = head_dim}) {}
  Tensor operator()(Tensor x, Tensor alibi_slopes) const {
    return dense(attn(q_proj(x).Heads(head_dim), k_proj(x).Heads(head_dim),
                      v_proj(x).Heads(head_dim), {{"alibi_slopes", alibi_slopes}})
                     .Flat());
  }
};

struct FalconMLP {
  Linear dense_h_to_4h, dense_4h_to_h;
  uint32_t act;
  FalconMLP(const Scope& s, const FalconConfig& c)
      : dense_h_to_4h(s / "dense_h_to_4h", c.hidden_size, c.ffn_hidden_size, c.bias),
        dense_4h_to_h(s / "dense_4h_to_h", c.ffn_hidden_size, c.hidden_size, c.bias),
        act(c.activation) {}
  Tensor operator()(Tensor x) const { return dense_4h_to_h(dense_h_to_4h(x).Act(act)); }
};

struct FalconDecoderLayer {
  LayerNorm input_layernorm;
  FalconAttention self_attention;
  FalconMLP mlp;
  FalconDecoderLayer(const Scope& s, const FalconConfig& c, int layer)
      : input_layernorm(s / "input_layernorm", c.hidden_size, c.layer_norm_epsilon),
        self_attention(s / "self_attention", c, layer),
        mlp(s / "mlp", c) {}
  Tensor operator()(Tensor x, Tensor alibi_slopes) const {
    const Tensor normed = input_layernorm(x);
    return x + self_attention(normed, alibi_slopes) + mlp(normed);
  }
};

struct FalconForCausalLM {
  static constexpr const char* kModelType = "falcon";
  static constexpr const char* kArchitectures[] = {"FalconForCausalLM"};
  using ConfigType = FalconConfig;

  int64_t num_attention_heads, head_dim;
  LayerNorm ln_f;
  LayerList<FalconDecoderLayer> h;
  FalconForCausalLM(const Scope& root, const FalconConfig& c)
      : num_attention_heads(c.num_attention_heads),
        head_dim(c.head_dim),
        ln_f(root / "transformer" / "ln_f", c.hidden_size, c.layer_norm_epsilon),
        h(root / "transformer" / "h", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    const Tensor alibi_slopes =
        Constant(in.run, {num_attention_heads}, AlibiSlopes(num_attention_heads, head_dim));
    return ln_f(h(in.embeds, alibi_slopes));
  }
};

}  // namespace

KEEL_PLUGIN("org.example.falcon", "1.0.0", FalconForCausalLM);

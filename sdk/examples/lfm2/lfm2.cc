// LFM2 (Liquid AI), as in transformers' models/lfm2: layers of attention among layers of a gated short convolution,
// whose state a sequence carries from token to token.
#include <optional>

#include "sdk/keel/blocks/attention.h"
#include "sdk/keel/blocks/causal_conv1d.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

struct Lfm2Config : AttentionSizes {
  int64_t intermediate_size, num_hidden_layers, vocab_size, max_position_embeddings, conv_L_cache;
  double norm_eps;
  bool conv_bias, tie_word_embeddings;
  std::vector<std::string> layer_types;
  explicit Lfm2Config(const Config& c)
      : AttentionSizes{.hidden_size = c.Int("hidden_size", 2560),
                       .num_attention_heads = c.Int("num_attention_heads", 32),
                       .num_key_value_heads = c.Int("num_key_value_heads", 8)},
        intermediate_size(MlpSize(c)),
        num_hidden_layers(c.Int("num_hidden_layers", 32)),
        vocab_size(c.Int("vocab_size", 65536)),
        max_position_embeddings(c.Int("max_position_embeddings", 128000)),
        conv_L_cache(c.Int("conv_L_cache", 3)),
        norm_eps(c.Real("norm_eps", 1e-5)),
        conv_bias(c.Bool("conv_bias", false)),
        tie_word_embeddings(c.Bool("tie_embedding|tie_word_embeddings", true)),
        layer_types(c.Strings("layer_types")) {
    head_dim = num_attention_heads > 0 ? hidden_size / num_attention_heads : 0;
    if (static_cast<int64_t>(layer_types.size()) != num_hidden_layers)
      c.Fail("layer_types", "has " + std::to_string(layer_types.size()) +
                                " entries, expected one for each of num_hidden_layers");
  }
  bool is_conv(int layer) const {
    const size_t i = static_cast<size_t>(layer);
    return i < layer_types.size() && layer_types[i] == "conv";
  }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = max_position_embeddings;
    s.tie_word_embeddings = tie_word_embeddings;
    s.renames = {{.from = {R"((.*\.self_attn\.)out_proj\.(.*))"}, .to = {R"(\1o_proj.\2)"}},
                 {.from = {R"((.*\.self_attn\.)(q|k)_layernorm\.(.*))"}, .to = {R"(\1\2_norm.\3)"}},
                 {.from = {R"((.*\.feed_forward\.)w1\.(.*))"}, .to = {R"(\1gate_proj.\2)"}},
                 {.from = {R"((.*\.feed_forward\.)w3\.(.*))"}, .to = {R"(\1up_proj.\2)"}},
                 {.from = {R"((.*\.feed_forward\.)w2\.(.*))"}, .to = {R"(\1down_proj.\2)"}}};
    return s;
  }

 private:
  // Lfm2MLP: two thirds of it, times a factor, rounded up.
  static int64_t MlpSize(const Config& c) {
    const int64_t size = c.Int("block_ff_dim|intermediate_size", 12288);
    if (!c.Bool("block_auto_adjust_ff_dim", true)) return size;
    const double two_thirds = static_cast<double>(2 * size / 3);
    const int64_t scaled =
        static_cast<int64_t>(c.Real("block_ffn_dim_multiplier", 1.0) * two_thirds);
    const int64_t multiple = std::max<int64_t>(c.Int("block_multiple_of", 256), 1);
    return (scaled + multiple - 1) / multiple * multiple;
  }
};

// out(C * conv(B * x)), where B, C and x are three projections of the input.
struct Lfm2ShortConv {
  int64_t size;
  Linear in_proj, out_proj;
  CausalConv1d conv;
  Lfm2ShortConv(const Scope& s, const Lfm2Config& c, int layer)
      : size(c.hidden_size),
        in_proj(s / "in_proj", size, 3 * size, c.conv_bias),
        out_proj(s / "out_proj", size, size, c.conv_bias),
        conv(s / "conv", size, c.conv_L_cache, layer, c.conv_bias) {}
  Tensor operator()(Tensor hidden) const {
    const std::vector<Tensor> parts = in_proj(hidden).Split({size, size, size});
    const Tensor b = parts[0], c = parts[1], x = parts[2];
    return out_proj(c * conv(b * x));
  }
};

struct Lfm2DecoderLayer {
  RmsNorm operator_norm, ffn_norm;
  std::optional<Lfm2ShortConv> conv;
  std::optional<RopeAttention> self_attn;
  GatedMlp feed_forward;
  Lfm2DecoderLayer(const Scope& s, const Lfm2Config& c, int layer)
      : operator_norm(s / "operator_norm", c.hidden_size, c.norm_eps),
        ffn_norm(s / "ffn_norm", c.hidden_size, c.norm_eps),
        feed_forward(s / "feed_forward", c.hidden_size, c.intermediate_size, KEEL_ACT_SILU) {
    if (c.is_conv(layer)) {
      conv.emplace(s / "conv", c, layer);
    } else {
      self_attn.emplace(s / "self_attn", c, layer,
                        RopeAttention::Options{.qk_norm = RmsNorm::Desc(c.head_dim, c.norm_eps)});
    }
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor normed = operator_norm(x);
    x = x + (conv ? (*conv)(normed) : (*self_attn)(normed, rope, positions));
    return x + feed_forward(ffn_norm(x));
  }
};

struct Lfm2ForCausalLM {
  static constexpr const char* kModelType = "lfm2";
  static constexpr const char* kArchitectures[] = {"Lfm2ForCausalLM"};
  using ConfigType = Lfm2Config;

  Rope rotary_emb;
  RmsNorm embedding_norm;
  LayerList<Lfm2DecoderLayer> layers;
  Lfm2ForCausalLM(const Scope& root, const Lfm2Config& c)
      : rotary_emb(root, c.head_dim, 1e6),
        embedding_norm(root / "model" / "embedding_norm", c.hidden_size, c.norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return embedding_norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace

KEEL_PLUGIN("org.example.lfm2", "1.0.0", Lfm2ForCausalLM);

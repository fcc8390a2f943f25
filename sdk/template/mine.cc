// My model, as in transformers' models/my_model/modeling_my_model.py. Written as Llama's decoder
// with a LayerNorm in the place of each RMSNorm and a quarter of each head rotated, so that every
// part that a family usually changes is in sight.
#include "sdk/keel/blocks/attention.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/plugin.h"

namespace {

using namespace keel;

// The keys of config.json that the model reads, with the defaults of MyModelConfig in transformers.
struct MyModelConfig : AttentionSizes {
  int64_t intermediate_size, num_hidden_layers, vocab_size, max_position_embeddings;
  double layer_norm_eps;
  uint32_t hidden_act;
  bool tie_word_embeddings;
  explicit MyModelConfig(const Config& c)
      : AttentionSizes{.hidden_size = c.Int("hidden_size"),
                       .num_attention_heads = c.Int("num_attention_heads", 32),
                       .num_key_value_heads = c.Int("num_key_value_heads", 32)},
        intermediate_size(c.Int("intermediate_size")),
        num_hidden_layers(c.Int("num_hidden_layers")),
        vocab_size(c.Int("vocab_size")),
        max_position_embeddings(c.Int("max_position_embeddings", 4096)),
        layer_norm_eps(c.Real("layer_norm_eps", 1e-5)),
        hidden_act(c.Activation("hidden_act", "silu")),
        tie_word_embeddings(c.Bool("tie_word_embeddings", false)) {
    if (num_attention_heads < 1 || hidden_size % num_attention_heads != 0) {
      c.Fail("num_attention_heads",
             "is " + std::to_string(num_attention_heads) +
                 ", expected a divisor of hidden_size = " + std::to_string(hidden_size));
    } else {
      head_dim = hidden_size / num_attention_heads;
    }
  }

  // What the host needs to know: sizes, how tensor parallelism splits the linears, and where the
  // model may be cut into stages.
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = max_position_embeddings;
    s.tie_word_embeddings = tie_word_embeddings;
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"}, {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"}, {"layers.*.self_attn.o_proj", "rowwise"},
                 {"layers.*.mlp.gate_proj", "colwise"},    {"layers.*.mlp.up_proj", "colwise"},
                 {"layers.*.mlp.down_proj", "rowwise"},    {"lm_head", "colwise_gather_output"}};
    s.pp_plan = {{"embed_tokens", {"input_ids"}, {"inputs_embeds"}},
                 {"layers", {"hidden_states", "attention_mask"}, {"hidden_states"}},
                 {"norm", {"hidden_states"}, {"hidden_states"}}};
    return s;
  }
};

// Members are named as the checkpoint names them: s / "mlp" holds "<scope>.mlp.gate_proj.weight" ...
struct MyModelDecoderLayer {
  RopeAttention self_attn;
  GatedMlp mlp;
  LayerNorm input_layernorm, post_attention_layernorm;
  MyModelDecoderLayer(const Scope& s, const MyModelConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer, {}),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.layer_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.layer_norm_eps) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct MyModelForCausalLM {
  static constexpr const char* kModelType = "my_model";
  static constexpr const char* kArchitectures[] = {"MyModelForCausalLM"};
  using ConfigType = MyModelConfig;

  Rope rotary_emb;
  LayerList<MyModelDecoderLayer> layers;
  LayerNorm norm;
  MyModelForCausalLM(const Scope& root, const MyModelConfig& c)
      : rotary_emb(root, {.head_dim = c.head_dim, .theta = 10000, .partial_rotary_factor = 0.25}),
        layers(root / "model" / "layers", c.num_hidden_layers, c),
        norm(root / "model" / "norm", c.hidden_size, c.layer_norm_eps) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace

KEEL_PLUGIN("org.example.my_model", "1.0.0", MyModelForCausalLM);

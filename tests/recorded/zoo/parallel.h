// Decoders before Llama and beside it: learned positions, attention and MLP side by side, norms of
// each head, as in transformers' models/<name>.
#ifndef KEEL_TESTS_RECORDED_ZOO_PARALLEL_H_
#define KEEL_TESTS_RECORDED_ZOO_PARALLEL_H_

#include <string>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {

// A norm whose weight is [heads, head_dim]: each head has its own.
struct PerHeadLayerNorm {
  Norm norm;
  Param weight;
  PerHeadLayerNorm(const Scope& s, int64_t heads, int64_t head_dim, double eps)
      : norm(s,
             {.kind = KEEL_NORM_LAYER, .size = head_dim, .eps = eps, .flags = KEEL_NORM_NO_WEIGHT}),
        weight(s / "weight", {heads, head_dim}) {}
  Tensor operator()(Tensor x) const { return norm(x) * weight(x.run); }
};

// ---- Cohere (Command R): attention and MLP of one norm, rotated pairs, per-head norms, scaled logits ----

struct CohereConfig : DenseConfig {
  double logit_scale;
  bool use_qk_norm;
  explicit CohereConfig(const Config& c)
      : DenseConfig(c, {.tie_word_embeddings = true}),
        logit_scale(c.Real("logit_scale", 0.0625)),
        use_qk_norm(c.Bool("use_qk_norm", false)) {
    rms_norm_eps = c.Real("layer_norm_eps", 1e-5);
  }
  keel_rope_desc rope() const {
    return {.layout = KEEL_ROPE_INTERLEAVED,
            .head_dim = head_dim,
            .theta = rope_theta,
            .flags = KEEL_ROPE_FP32};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.logit_scale = logit_scale;
    if (use_qk_norm) {
      s.tp_plan.push_back({"layers.*.self_attn.q_norm.weight", "colwise"});
      s.tp_plan.push_back({"layers.*.self_attn.k_norm.weight", "colwise"});
    }
    return s;
  }
};

struct CohereLayer {
  int64_t head_dim;
  RopeAttention self_attn;
  std::optional<PerHeadLayerNorm> q_norm, k_norm;
  GatedMlp mlp;
  LayerNorm input_layernorm;
  CohereLayer(const Scope& s, const CohereConfig& c, int layer)
      : head_dim(c.head_dim),
        self_attn(s / "self_attn", c, layer, {}),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps, false) {
    if (!c.use_qk_norm) return;
    q_norm.emplace(s / "self_attn" / "q_norm", c.num_attention_heads, head_dim, c.rms_norm_eps);
    k_norm.emplace(s / "self_attn" / "k_norm", c.num_key_value_heads, head_dim, c.rms_norm_eps);
  }
  Tensor Attend(Tensor x, const Rope& rope, Tensor positions) const {
    const RopeAttention& a = self_attn;
    Tensor q = a.q_proj(x).Heads(head_dim), k = a.k_proj(x).Heads(head_dim);
    if (q_norm) q = (*q_norm)(q), k = (*k_norm)(k);
    return a.o_proj(
        a.attn(rope(q, positions), rope(k, positions), a.v_proj(x).Heads(head_dim)).Flat());
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor normed = input_layernorm(x);
    return x + Attend(normed, rope, positions) + mlp(normed);
  }
};

struct CohereForCausalLM {
  static constexpr const char* kModelType = "cohere";
  static constexpr const char* kArchitectures[] = {"CohereForCausalLM"};
  using ConfigType = CohereConfig;

  Rope rotary_emb;
  LayerNorm norm;
  LayerList<CohereLayer> layers;
  CohereForCausalLM(const Scope& root, const CohereConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps, false),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

// ---- StableLM: the norms of the heads are tensors of their own in the file ----

struct StableLmConfig : DenseConfig {
  explicit StableLmConfig(const Config& c) : DenseConfig(c) {
    rms_norm_eps = c.Real("layer_norm_eps", 1e-5);
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim, .theta = rope_theta, .partial_rotary_factor = 0.25};
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.renames = {{.op = KEEL_RENAME_STACK,
                  .from = {R"((.*\.[qk]_layernorm\.)norms\.(\d+)\.weight)"},
                  .to = {R"(\1weight)"},
                  .dim = 0}};
    s.tp_plan.push_back({"layers.*.self_attn.q_layernorm.weight", "colwise"});
    s.tp_plan.push_back({"layers.*.self_attn.k_layernorm.weight", "colwise"});
    return s;
  }
};

struct StableLmLayer {
  int64_t head_dim;
  RopeAttention self_attn;
  PerHeadLayerNorm q_layernorm, k_layernorm;
  GatedMlp mlp;
  LayerNorm input_layernorm, post_attention_layernorm;
  StableLmLayer(const Scope& s, const StableLmConfig& c, int layer)
      : head_dim(c.head_dim),
        self_attn(s / "self_attn", c, layer, {}),
        q_layernorm(s / "self_attn" / "q_layernorm", c.num_attention_heads, head_dim,
                    c.rms_norm_eps),
        k_layernorm(s / "self_attn" / "k_layernorm", c.num_key_value_heads, head_dim,
                    c.rms_norm_eps),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
  Tensor Attend(Tensor x, const Rope& rope, Tensor positions) const {
    const RopeAttention& a = self_attn;
    const Tensor q = q_layernorm(a.q_proj(x).Heads(head_dim));
    const Tensor k = k_layernorm(a.k_proj(x).Heads(head_dim));
    return a.o_proj(
        a.attn(rope(q, positions), rope(k, positions), a.v_proj(x).Heads(head_dim)).Flat());
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + Attend(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct StableLmForCausalLM {
  static constexpr const char* kModelType = "stablelm";
  static constexpr const char* kArchitectures[] = {"StableLmForCausalLM"};
  using ConfigType = StableLmConfig;

  Rope rotary_emb;
  LayerNorm norm;
  LayerList<StableLmLayer> layers;
  StableLmForCausalLM(const Scope& root, const StableLmConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

// ---- GPT-NeoX: two norms side by side, queries, keys and values of a head together in the file ----

struct GptNeoXConfig : AttentionSizes {
  int64_t intermediate_size, num_hidden_layers, vocab_size;
  double layer_norm_eps;
  uint32_t hidden_act;
  explicit GptNeoXConfig(const Config& c)
      : AttentionSizes{.hidden_size = c.Int("hidden_size"),
                       .num_attention_heads = c.Int("num_attention_heads"),
                       .num_key_value_heads = c.Int("num_attention_heads")},
        intermediate_size(c.Int("intermediate_size")),
        num_hidden_layers(c.NumLayers("num_hidden_layers")),
        vocab_size(c.Int("vocab_size")),
        layer_norm_eps(c.Real("layer_norm_eps", 1e-5)),
        hidden_act(c.Activation("hidden_act", "gelu")) {
    head_dim = num_attention_heads > 0 ? hidden_size / num_attention_heads : 0;
  }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.base_model_prefix = "gpt_neox";
    s.embed_tokens = "gpt_neox.embed_in";
    s.lm_head = "embed_out";
    s.renames = {{.op = KEEL_RENAME_CHUNK_HEADS,
                  .from = {R"((.*attention\.)query_key_value\.(weight|bias))"},
                  .to = {R"(\1q_proj.\2)", R"(\1k_proj.\2)", R"(\1v_proj.\2)"},
                  .sizes = {head_dim, head_dim, head_dim}},
                 {.op = KEEL_RENAME_NAME,
                  .from = {R"((.*attention\.)dense\.(weight|bias))"},
                  .to = {R"(\1o_proj.\2)"}}};
    s.tp_plan = {
        {"layers.*.attention.q_proj", "colwise"},  {"layers.*.attention.k_proj", "colwise"},
        {"layers.*.attention.v_proj", "colwise"},  {"layers.*.attention.o_proj", "rowwise"},
        {"layers.*.mlp.dense_h_to_4h", "colwise"}, {"layers.*.mlp.dense_4h_to_h", "rowwise"}};
    return s;
  }
};

struct GptNeoXLayer {
  RopeAttention attention;
  Linear dense_h_to_4h, dense_4h_to_h;
  LayerNorm input_layernorm, post_attention_layernorm;
  uint32_t act;
  GptNeoXLayer(const Scope& s, const GptNeoXConfig& c, int layer)
      : attention(s / "attention", c, layer, {.qkv_bias = true, .output_bias = true}),
        dense_h_to_4h(s / "mlp" / "dense_h_to_4h", c.hidden_size, c.intermediate_size, true),
        dense_4h_to_h(s / "mlp" / "dense_4h_to_h", c.intermediate_size, c.hidden_size, true),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.layer_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.layer_norm_eps),
        act(c.hidden_act) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor mlp = dense_4h_to_h(dense_h_to_4h(post_attention_layernorm(x)).Act(act));
    return x + attention(input_layernorm(x), rope, positions) + mlp;
  }
};

struct GPTNeoXForCausalLM {
  static constexpr const char* kModelType = "gpt_neox";
  static constexpr const char* kArchitectures[] = {"GPTNeoXForCausalLM"};
  using ConfigType = GptNeoXConfig;

  Rope rotary_emb;
  LayerNorm final_layer_norm;
  LayerList<GptNeoXLayer> layers;
  GPTNeoXForCausalLM(const Scope& root, const GptNeoXConfig& c)
      : rotary_emb(root, {.head_dim = c.head_dim, .theta = 10000, .partial_rotary_factor = 0.25}),
        final_layer_norm(root / "gpt_neox" / "final_layer_norm", c.hidden_size, c.layer_norm_eps),
        layers(root / "gpt_neox" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return final_layer_norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

// ---- OPT: a table of positions that begins with two rows of nobody's ----

struct OptConfig {
  int64_t hidden_size, num_hidden_layers, num_attention_heads, head_dim, ffn_dim, vocab_size,
      max_position_embeddings;
  uint32_t activation_function;
  explicit OptConfig(const Config& c)
      : hidden_size(c.Int("hidden_size")),
        num_hidden_layers(c.NumLayers("num_hidden_layers")),
        num_attention_heads(c.Int("num_attention_heads")),
        head_dim(num_attention_heads > 0 ? hidden_size / num_attention_heads : 0),
        ffn_dim(c.Int("ffn_dim")),
        vocab_size(c.Int("vocab_size")),
        max_position_embeddings(c.Int("max_position_embeddings", 2048)),
        activation_function(c.Activation("activation_function", "relu")) {}
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = max_position_embeddings;
    s.tie_word_embeddings = true;
    s.base_model_prefix = "model.decoder";
    s.embed_tokens = "model.decoder.embed_tokens";
    s.tp_plan = {{"layers.*.self_attn.q_proj", "colwise"},
                 {"layers.*.self_attn.k_proj", "colwise"},
                 {"layers.*.self_attn.v_proj", "colwise"},
                 {"layers.*.self_attn.out_proj", "rowwise"},
                 {"layers.*.fc1", "colwise"},
                 {"layers.*.fc2", "rowwise"}};
    return s;
  }
};

struct OptLayer {
  int64_t head_dim;
  Linear q_proj, k_proj, v_proj, out_proj, fc1, fc2;
  Attention attn;
  LayerNorm self_attn_layer_norm, final_layer_norm;
  uint32_t act;
  OptLayer(const Scope& s, const OptConfig& c, int layer)
      : head_dim(c.head_dim),
        q_proj(s / "self_attn" / "q_proj", c.hidden_size, c.hidden_size, true),
        k_proj(s / "self_attn" / "k_proj", c.hidden_size, c.hidden_size, true),
        v_proj(s / "self_attn" / "v_proj", c.hidden_size, c.hidden_size, true),
        out_proj(s / "self_attn" / "out_proj", c.hidden_size, c.hidden_size, true),
        fc1(s / "fc1", c.hidden_size, c.ffn_dim, true),
        fc2(s / "fc2", c.ffn_dim, c.hidden_size, true),
        attn(s / "self_attn", {.layer = layer,
                               .heads = c.num_attention_heads,
                               .kv_heads = c.num_attention_heads,
                               .qk_dim = head_dim,
                               .v_dim = head_dim}),
        self_attn_layer_norm(s / "self_attn_layer_norm", c.hidden_size, 1e-5),
        final_layer_norm(s / "final_layer_norm", c.hidden_size, 1e-5),
        act(c.activation_function) {}
  Tensor operator()(Tensor x) const {
    const Tensor h = self_attn_layer_norm(x);
    x = x + out_proj(attn(q_proj(h).Heads(head_dim), k_proj(h).Heads(head_dim),
                          v_proj(h).Heads(head_dim))
                         .Flat());
    return x + fc2(fc1(final_layer_norm(x)).Act(act));
  }
};

struct OPTForCausalLM {
  static constexpr const char* kModelType = "opt";
  static constexpr const char* kArchitectures[] = {"OPTForCausalLM"};
  using ConfigType = OptConfig;
  static constexpr int64_t kOffset = 2;

  Embedding embed_positions;
  LayerNorm final_layer_norm;
  LayerList<OptLayer> layers;
  OPTForCausalLM(const Scope& root, const OptConfig& c)
      : embed_positions(root / "model" / "decoder" / "embed_positions",
                        c.max_position_embeddings + kOffset, c.hidden_size),
        final_layer_norm(root / "model" / "decoder" / "final_layer_norm", c.hidden_size, 1e-5),
        layers(root / "model" / "decoder" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return final_layer_norm(layers(in.embeds + embed_positions(in.positions + kOffset)));
  }
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_ZOO_PARALLEL_H_

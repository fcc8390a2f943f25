// gpt-oss (arXiv:2508.10925), as in transformers' models/gpt_oss: attention with sinks, a window in every other layer, and
// a mixture of experts whose gated MLP has bounds. Files keep all experts of a layer in one tensor.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct GptOssConfig : DenseConfig {
  int64_t num_local_experts, num_experts_per_tok, sliding_window;
  double swiglu_limit;
  bool attention_bias;
  std::vector<std::string> layer_types;
  explicit GptOssConfig(const Config& c)
      : DenseConfig(c, {.num_key_value_heads = 8,
                        .head_dim = 64,
                        .max_position_embeddings = 131072,
                        .rms_norm_eps = 1e-5,
                        .rope_theta = 150000}),
        num_local_experts(c.Int("num_local_experts|num_experts", 128)),
        num_experts_per_tok(c.Int("num_experts_per_tok", 4)),
        sliding_window(c.IsNull("sliding_window") ? 0 : c.Int("sliding_window", 128)),
        swiglu_limit(c.Real("swiglu_limit", 7)),
        attention_bias(c.Bool("attention_bias", true)),
        layer_types(c.Strings("layer_types")) {
    if (c.Real("swiglu_alpha", 1.702) != 1.702)
      c.Fail("swiglu_alpha", "is another number, expected 1.702: the experts' activation");
    if (!(swiglu_limit > 0)) c.Fail("swiglu_limit", "is not above 0, expected a bound");
    // The class's own default is a scaling that no other family has.
    if (!c.Has("rope_parameters|rope_scaling"))
      c.Fail("rope_parameters", "is missing, expected an object");
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.tp_plan = {};  // transformers has none
    s.ep_plan = {{"layers.*.mlp.experts.gate_up_proj", "grouped_gemm"},
                 {"layers.*.mlp.experts.down_proj", "grouped_gemm"},
                 {"layers.*.mlp.experts", "ep_dispatch_experts"}};
    // [experts, in, 2 out] with gate and up in turn, and [experts, 2 out]: transposed, dealt out, taken apart.
    s.renames = {{.op = KEEL_RENAME_TRANSPOSE,
                  .from = {R"((.*\.experts\.(?:gate_up|down)_proj))"},
                  .to = {R"(\1.weight)"}},
                 {.from = {R"((.*\.experts\.\w+_proj)_bias)"}, .to = {R"(\1.bias)"}},
                 {.op = KEEL_RENAME_INTERLEAVE,
                  .from = {R"((.*\.experts)\.gate_up_proj\.(weight|bias))"},
                  .to = {R"(\1.gate_proj.\2)", R"(\1.up_proj.\2)"},
                  .dim = 1},
                 {.op = KEEL_RENAME_UNSTACK,
                  .from = {R"((.*\.experts)\.(\w+_proj\.(?:weight|bias)))"},
                  .to = {R"(\1.{e}.\2)"}}};
    return s;
  }
  int64_t window(int layer) const {
    const size_t i = static_cast<size_t>(layer);
    const bool slides = i < layer_types.size() ? layer_types[i] == "sliding_attention" : i % 2 == 0;
    return slides ? sliding_window : 0;
  }
  keel_moe_desc moe() const {
    return {.act = KEEL_ACT_QUICK_GELU,
            .experts = num_local_experts,
            .top_k = num_experts_per_tok,
            .hidden_size = hidden_size,
            .intermediate_size = intermediate_size,
            .scoring = KEEL_MOE_TOPK_SOFTMAX,
            .flags = KEEL_MOE_BIAS,
            .gate = "{e}.gate_proj",
            .up = "{e}.up_proj",
            .down = "{e}.down_proj",
            .limit = swiglu_limit,
            .up_offset = 1};
  }
};

struct GptOssAttention : RopeAttention {
  Param sinks;
  GptOssAttention(const Scope& s, const GptOssConfig& c, int layer)
      : RopeAttention(s, c, layer,
                      {.qkv_bias = c.attention_bias,
                       .output_bias = c.attention_bias,
                       .window = c.window(layer)}),
        sinks(s / "sinks", {c.num_attention_heads}) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor q = rope(q_proj(x).Heads(head_dim), positions),
                 k = rope(k_proj(x).Heads(head_dim), positions), v = v_proj(x).Heads(head_dim);
    return o_proj(attn(q, k, v, {{"sinks", sinks(x.run)}}).Flat());
  }
};

struct GptOssMLP {
  Linear router;
  Moe experts;
  GptOssMLP(const Scope& s, const GptOssConfig& c)
      : router(s / "router", c.hidden_size, c.num_local_experts, true),
        experts(s / "experts", c.moe()) {}
  Tensor operator()(Tensor x) const { return experts(x, router(x)); }
};

struct GptOssDecoderLayer {
  GptOssAttention self_attn;
  GptOssMLP mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  GptOssDecoderLayer(const Scope& s, const GptOssConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer),
        mlp(s / "mlp", c),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps, 0,
                        KEEL_NORM_CAST_LAST),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps, 0,
                                 KEEL_NORM_CAST_LAST) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions);
    return x + mlp(post_attention_layernorm(x));
  }
};

struct GptOssForCausalLM {
  static constexpr const char* kModelType = "gpt_oss";
  static constexpr const char* kArchitectures[] = {"GptOssForCausalLM"};
  using ConfigType = GptOssConfig;

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<GptOssDecoderLayer> layers;
  GptOssForCausalLM(const Scope& root, const GptOssConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps, 0, KEEL_NORM_CAST_LAST),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.gpt_oss", "0.1.0", keel::GptOssForCausalLM);

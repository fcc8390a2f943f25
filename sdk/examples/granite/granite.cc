// Granite (IBM, models/granite in transformers): Llama's decoder with four multipliers. An example of a family that
// lives outside Keel's repository: it includes sdk/ alone and is built by build.sh with nothing but a compiler.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

struct GraniteConfig : DenseConfig {
  bool attention_bias, mlp_bias;
  double embedding_multiplier, residual_multiplier, attention_multiplier, logits_scaling;
  explicit GraniteConfig(const Config& c)
      : DenseConfig(c),
        attention_bias(c.Bool("attention_bias", false)),
        mlp_bias(c.Bool("mlp_bias", false)),
        embedding_multiplier(c.Real("embedding_multiplier", 1)),
        residual_multiplier(c.Real("residual_multiplier", 1)),
        attention_multiplier(c.Real("attention_multiplier", 1)),
        logits_scaling(c.Real("logits_scaling", 1)) {
    if (logits_scaling == 0)
      c.Fail("logits_scaling", "is 0, expected another number: logits are divided by it");
  }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    s.embed_scale = embedding_multiplier;
    s.logit_scale = 1 / logits_scaling;
    return s;
  }
  RopeAttention::Options attention() const {
    return {
        .qkv_bias = attention_bias, .output_bias = attention_bias, .scale = attention_multiplier};
  }
};

struct GraniteDecoderLayer {
  RopeAttention self_attn;
  GatedMlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
  double residual_multiplier;
  GraniteDecoderLayer(const Scope& s, const GraniteConfig& c, int layer)
      : self_attn(s / "self_attn", c, layer, c.attention()),
        mlp(s / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act, c.mlp_bias),
        input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        residual_multiplier(c.residual_multiplier) {}
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    x = x + self_attn(input_layernorm(x), rope, positions) * residual_multiplier;
    return x + mlp(post_attention_layernorm(x)) * residual_multiplier;
  }
};

struct GraniteForCausalLM : DenseDecoder<GraniteConfig, GraniteDecoderLayer> {
  static constexpr const char* kModelType = "granite";
  static constexpr const char* kArchitectures[] = {"GraniteForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace

KEEL_PLUGIN("org.example.granite", "1.0.0", GraniteForCausalLM);

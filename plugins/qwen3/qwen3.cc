// Qwen3 (arXiv:2505.09388): Llama's decoder with a norm over each head of q and k, and heads of a size of their own.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen3Config : DenseConfig {
  bool attention_bias;
  WindowedLayers windows;
  explicit Qwen3Config(const Config& c)
      : DenseConfig(c,
                    {.num_key_value_heads = 32, .head_dim = 128, .max_position_embeddings = 32768}),
        attention_bias(c.Bool("attention_bias", false)),
        windows(c) {}
  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = attention_bias,
            .output_bias = attention_bias,
            .qk_norm = RmsNorm::Desc(head_dim, rms_norm_eps),
            .window = windows(layer)};
  }
};

struct Qwen3ForCausalLM : DenseDecoder<Qwen3Config> {
  static constexpr const char* kModelType = "qwen3";
  static constexpr const char* kArchitectures[] = {"Qwen3ForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen3", "0.1.0", keel::Qwen3ForCausalLM);

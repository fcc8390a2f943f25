// Qwen2 and Qwen2.5 (arXiv:2407.10671): Llama's decoder with biases on q, k and v, and a window in its upper layers.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Qwen2Config : DenseConfig {
  WindowedLayers windows;
  explicit Qwen2Config(const Config& c)
      : DenseConfig(c, {.num_key_value_heads = 32, .max_position_embeddings = 32768}), windows(c) {}
  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = true, .window = windows(layer)};
  }
};

struct Qwen2ForCausalLM : DenseDecoder<Qwen2Config> {
  static constexpr const char* kModelType = "qwen2";
  static constexpr const char* kArchitectures[] = {"Qwen2ForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.qwen2", "0.1.0", keel::Qwen2ForCausalLM);

// Mistral (arXiv:2310.06825): Llama's decoder with a sliding window in every layer.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct MistralConfig : DenseConfig {
  int64_t sliding_window;
  explicit MistralConfig(const Config& c)
      : DenseConfig(c, {.num_key_value_heads = 8, .max_position_embeddings = 131072}),
        sliding_window(c.IsNull("sliding_window") ? 0 : c.Int("sliding_window", 4096)) {}
  RopeAttention::Options attention(int) const { return {.window = sliding_window}; }
};

struct MistralForCausalLM : DenseDecoder<MistralConfig> {
  static constexpr const char* kModelType = "mistral";
  static constexpr const char* kArchitectures[] = {"MistralForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.mistral", "0.1.0", keel::MistralForCausalLM);

// Phi-3, 3.5 and 4 (arXiv:2404.14219): Llama's decoder with q, k and v in one matrix, gate and up in another, and a
// window in all layers where the config has one.
#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Phi3Config : DenseConfig {
  int64_t sliding_window;
  explicit Phi3Config(const Config& c)
      : DenseConfig(c, {.max_position_embeddings = 4096, .rms_norm_eps = 1e-5}),
        sliding_window(c.Int("sliding_window", 0)) {}
  RopeAttention::Options attention(int) const { return {.window = sliding_window}; }
  Spec spec() const {
    Spec s = DenseConfig::spec();
    const int64_t q = num_attention_heads * head_dim, kv = num_key_value_heads * head_dim;
    s.renames = {{.op = KEEL_RENAME_SPLIT,
                  .from = {R"((.*\.self_attn\.)qkv_proj\.weight)"},
                  .to = {R"(\1q_proj.weight)", R"(\1k_proj.weight)", R"(\1v_proj.weight)"},
                  .sizes = {q, kv, kv}},
                 {.op = KEEL_RENAME_SPLIT,
                  .from = {R"((.*\.mlp\.)gate_up_proj\.weight)"},
                  .to = {R"(\1gate_proj.weight)", R"(\1up_proj.weight)"}}};
    return s;
  }
};

struct Phi3ForCausalLM : DenseDecoder<Phi3Config> {
  static constexpr const char* kModelType = "phi3";
  static constexpr const char* kArchitectures[] = {"Phi3ForCausalLM"};
  using DenseDecoder::DenseDecoder;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.phi3", "0.1.0", keel::Phi3ForCausalLM);

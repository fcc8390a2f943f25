// The decoder of a model that has a text_config: one of the Llama line, whose model_type says which.
//
//   #include "sdk/keel/blocks/text_model.h"
//   using namespace keel;
//
//   struct SeeingConfig : TextModelConfig {
//     explicit SeeingConfig(const Config& c) : TextModelConfig(c, "llama") {}
//     Spec spec() const {  // language_model.model.layers.0 ... in the checkpoint
//       Spec s = TextModelConfig::spec();
//       s.renames = LlavaRenames();
//       return s;
//     }
//   };
//
//   struct SeeingModel : DenseDecoder<SeeingConfig> {
//     static constexpr const char* kModelType = "seeing";
//     static constexpr const char* kArchitectures[] = {"SeeingModel"};
//     using DenseDecoder::DenseDecoder;
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_TEXT_MODEL_H_
#define KEEL_SDK_KEEL_BLOCKS_TEXT_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/decoder.h"

namespace keel {

// From the names of LLaVA's line, old and new, to model (the decoder), lm_head, vision_tower and multi_modal_projector.
inline std::vector<Rename> LlavaRenames() {
  return {
      {.from = {R"(language_model\.lm_head\.(.*))"}, .to = {R"(lm_head.\1)"}},
      {.from = {R"((?:model\.)?language_model\.(?:model\.)?(.*))"}, .to = {R"(model.\1)"}},
      {.from = {R"((?:model\.)?vision_tower\.(?:vision_model\.)?(.*))"},
       .to = {R"(vision_tower.\1)"}},
      {.from = {R"(model\.multi_modal_projector\.(.*))"}, .to = {R"(multi_modal_projector.\1)"}}};
}

// What a family says otherwise than its text model's class.
struct TextModelOptions {
  double rms_norm_eps = 0;           // the default; 0: that of the model type
  bool tie_word_embeddings = false;  // the default
  bool text_config_ties = false;     // text_config may say it too
};

struct TextModelConfig : DenseConfig {
  // `c`: the whole model's. `model_type`: of text_config where it says none.
  TextModelConfig(const Config& c, const char* model_type, const TextModelOptions& o = {})
      : TextModelConfig(c, c.Object("text_config"), model_type, o) {}

  RopeAttention::Options attention(int layer) const {
    RopeAttention::Options o{.qkv_bias = qkv_bias_, .output_bias = output_bias_};
    if (qk_norm_) o.qk_norm = RmsNorm::Desc(head_dim, rms_norm_eps);
    o.window = windows_[static_cast<size_t>(layer)];
    return o;
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim, .theta = rope_theta, .params = "text_config/rope_parameters"};
  }

 private:
  TextModelConfig(const Config& c, const Config& text, const char* model_type,
                  const TextModelOptions& o)
      : TextModelConfig(c, text, text.String("model_type", model_type), o) {}
  TextModelConfig(const Config& c, const Config& text, const std::string& type,
                  const TextModelOptions& o)
      : DenseConfig(text, Defaults(text, type, o.rms_norm_eps)) {
    tie_word_embeddings = c.Bool("tie_word_embeddings", o.tie_word_embeddings) ||
                          (o.text_config_ties && text.Bool("tie_word_embeddings", false));
    qk_norm_ = type == "qwen3";
    qkv_bias_ = type == "qwen2" || (type != "mistral" && text.Bool("attention_bias", false));
    output_bias_ = type != "qwen2" && qkv_bias_;
    if (type == "llama" && text.Bool("mlp_bias", false))
      text.Fail("mlp_bias", "is true, expected false: the MLP of this block has none");
    const WindowedLayers windows(text);
    for (int i = 0; i < static_cast<int>(num_hidden_layers); ++i) {
      windows_.push_back(type == "qwen2" || type == "qwen3" ? windows(i)
                         : type != "mistral" || text.IsNull("sliding_window")
                             ? 0
                             : text.Int("sliding_window", 4096));
    }
  }

  static DenseDefaults Defaults(const Config& text, const std::string& type, double eps) {
    DenseDefaults d{.vocab_size = 32000,
                    .hidden_size = 4096,
                    .intermediate_size = 11008,
                    .num_hidden_layers = 32,
                    .num_attention_heads = 32};
    if (eps > 0) d.rms_norm_eps = eps;
    if (type == "mistral") {
      d.intermediate_size = 14336;
      d.num_key_value_heads = 8;
      d.max_position_embeddings = 131072;
    } else if (type == "qwen2" || type == "qwen3") {
      d.vocab_size = 151936;
      d.intermediate_size = 22016;
      d.num_key_value_heads = 32;
      d.max_position_embeddings = 32768;
      if (type == "qwen3") d.head_dim = 128;
    } else if (type != "llama") {
      text.Fail("model_type", "is '" + type + "', expected llama, mistral, qwen2 or qwen3");
    }
    return d;
  }

  bool qkv_bias_ = false, output_bias_ = false, qk_norm_ = false;
  std::vector<int64_t> windows_;  // by layer
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_TEXT_MODEL_H_

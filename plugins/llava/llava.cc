// LLaVA 1.5 (arXiv:2310.03744), as in transformers' models/llava/modeling_llava.py: CLIP's features of the patches, by
// two linears, among the embeddings of a decoder of the Llama line.
#include "sdk/keel/blocks/llava.h"

#include "plugins/llava/processing_llava.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct LlavaConfig : LlavaModelConfig {
  explicit LlavaConfig(const Config& c)
      : LlavaModelConfig(c, {.text = {.text_config_ties = true}}) {}
};

struct LlavaForConditionalGeneration : DenseDecoder<LlavaConfig> {
  static constexpr const char* kModelType = "llava";
  static constexpr const char* kArchitectures[] = {"LlavaForConditionalGeneration"};

  bool has_class;
  Vit vision_tower;
  LlavaMultiModalProjector multi_modal_projector;
  LlavaForConditionalGeneration(const Scope& root, const LlavaConfig& c)
      : DenseDecoder(root, c),
        has_class(c.has_class),
        vision_tower(root / "vision_tower", c.vision, c.vision_feature_layer),
        multi_modal_projector(root / "multi_modal_projector", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor x = vision_tower(in[0], in[1]);
    return multi_modal_projector(has_class ? x : vision_tower.Patches(x));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.llava", "0.1.0", keel::LlavaForConditionalGeneration, keel::LlavaProcessor);

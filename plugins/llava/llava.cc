// LLaVA 1.5 (arXiv:2310.03744), as in transformers' models/llava/modeling_llava.py: CLIP's features of the patches, by
// two linears, among the embeddings of a decoder of the Llama line.
#include "plugins/llava/processing_llava.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct LlavaConfig : TextModelConfig {
  VitConfig vision;
  int64_t vision_feature_layer;  // how many layers run
  bool has_class, multimodal_projector_bias;
  uint32_t projector_hidden_act;
  explicit LlavaConfig(const Config& c)
      : TextModelConfig(c, "llama", {.text_config_ties = true}),
        vision(c.Object("vision_config"), ClipVit()),
        vision_feature_layer(c.Int("vision_feature_layer", -2)),
        multimodal_projector_bias(c.Bool("multimodal_projector_bias", true)),
        projector_hidden_act(c.Activation("projector_hidden_act", "gelu")) {
    const std::string strategy = c.String("vision_feature_select_strategy", "default");
    if (strategy != "default" && strategy != "full")
      c.Fail("vision_feature_select_strategy", "is '" + strategy + "', expected default or full");
    has_class = strategy == "full";
    if (vision_feature_layer < 0) vision_feature_layer += vision.num_hidden_layers + 1;
    if (vision_feature_layer < 1 || vision_feature_layer > vision.num_hidden_layers) {
      c.Fail("vision_feature_layer", "is none of the layers of vision_config");
      vision_feature_layer = 1;
    }
  }
  Spec spec() const {
    Spec s = TextModelConfig::spec();
    s.renames = LlavaRenames();
    s.renames.push_back(UnusedVitLayers("vision_tower", vision, vision_feature_layer));
    s.inputs = vision.inputs();
    return s;
  }
};

struct LlavaMultiModalProjector {
  Linear linear_1, linear_2;
  uint32_t act;
  LlavaMultiModalProjector(const Scope& s, const LlavaConfig& c)
      : linear_1(s / "linear_1", c.vision.hidden_size, c.hidden_size, c.multimodal_projector_bias),
        linear_2(s / "linear_2", c.hidden_size, c.hidden_size, c.multimodal_projector_bias),
        act(c.projector_hidden_act) {}
  Tensor operator()(Tensor x) const { return linear_2(linear_1(x).Act(act)); }
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

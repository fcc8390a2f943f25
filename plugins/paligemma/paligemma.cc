// PaliGemma (arXiv:2407.07726) and PaliGemma 2 (arXiv:2412.03555), as in transformers' models/paligemma: SigLIP's
// features of the patches, by a linear, before a prompt whose tokens all see each other, and the decoder of Gemma or
// Gemma 2. transformers counts positions from 1; rotary ones are relative, so that it is all one.
#include "plugins/paligemma/processing_paligemma.h"
#include "sdk/keel/blocks/gemma.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct PaliGemmaConfig : GemmaConfig {
  VitConfig vision;
  explicit PaliGemmaConfig(const Config& c)
      : GemmaConfig(c.Object("text_config"), Generation(c), "text_config/"),
        vision(c.Object("vision_config"), {}) {
    tie_word_embeddings = c.Bool("tie_word_embeddings", true);
  }
  Spec spec() const {
    Spec s = GemmaConfig::spec();
    s.renames = LlavaRenames();
    s.renames.push_back(UnusedVitHead("vision_tower"));
    s.inputs = vision.inputs();
    s.inputs.push_back({"forward", "groups", KEEL_I32, {-1}});
    return s;
  }

 private:
  static GemmaDefaults Generation(const Config& c) {
    const std::string type = c.String("text_config/model_type", "gemma");
    if (type == "gemma2") return Gemma2();
    if (type != "gemma")
      c.Fail("text_config/model_type", "is '" + type + "', expected gemma or gemma2");
    return Gemma1();
  }
};

struct PaliGemmaForConditionalGeneration : GemmaDecoder<PaliGemmaConfig> {
  static constexpr const char* kModelType = "paligemma";
  static constexpr const char* kArchitectures[] = {"PaliGemmaForConditionalGeneration"};

  Vit vision_tower;
  Linear projector;
  PaliGemmaForConditionalGeneration(const Scope& root, const PaliGemmaConfig& c)
      : GemmaDecoder(root, c),
        vision_tower(root / "vision_tower", c.vision, -1),
        projector(root / "multi_modal_projector" / "linear", c.vision.hidden_size, c.hidden_size,
                  true) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    return projector(vision_tower(in[0], in[1]));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.paligemma", "0.1.0", keel::PaliGemmaForConditionalGeneration,
            keel::PaliGemmaProcessor);

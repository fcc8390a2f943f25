// Idefics3 (arXiv:2408.12637) and SmolVLM (arXiv:2504.05299), as in transformers' models/idefics3/modeling_idefics3.py:
// SigLIP's features of tiles, of which several neighbours become one row, before a decoder of the Llama line.
#include "plugins/idefics3/processing_idefics3.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Idefics3Config : TextModelConfig {
  VitConfig vision;
  int64_t scale_factor;
  explicit Idefics3Config(const Config& c)
      : TextModelConfig(c, "llama"),
        vision(c.Object("vision_config"),
               {.hidden_size = 1152, .num_attention_heads = 16, .patch_size = 32}),
        scale_factor(c.Int("scale_factor", 2)) {
    if (scale_factor >= 1 && vision.side % scale_factor == 0) return;
    c.Fail("scale_factor", "is " + std::to_string(scale_factor) +
                               ", expected a number that divides " + std::to_string(vision.side) +
                               ", the patches of a side");
    scale_factor = 1;
  }
  Spec spec() const {
    Spec s = TextModelConfig::spec();
    s.renames = {{.from = {R"(model\.text_model\.(.*))"}, .to = {R"(model.\1)"}},
                 {.from = {R"(model\.(vision_model|connector)\.(.*))"}, .to = {R"(\1.\2)"}}};
    s.inputs = vision.inputs();
    return s;
  }
};

struct Idefics3Connector {
  int64_t side, scale_factor;
  Linear proj;
  Idefics3Connector(const Scope& s, const Idefics3Config& c)
      : side(c.vision.side),
        scale_factor(c.scale_factor),
        proj(s / "modality_projection" / "proj", c.vision.hidden_size * scale_factor * scale_factor,
             c.hidden_size) {}
  Tensor operator()(Tensor x) const { return proj(PixelShuffle(x, side, scale_factor)); }
};

struct Idefics3ForConditionalGeneration : DenseDecoder<Idefics3Config> {
  static constexpr const char* kModelType = "idefics3";
  static constexpr const char* kArchitectures[] = {"Idefics3ForConditionalGeneration",
                                                   "SmolVLMForConditionalGeneration"};

  Vit vision_model;
  Idefics3Connector connector;
  Idefics3ForConditionalGeneration(const Scope& root, const Idefics3Config& c)
      : DenseDecoder(root, c),
        vision_model(root / "vision_model", c.vision, -1),
        connector(root / "connector", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    return connector(vision_model(in[0], in[1]));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.idefics3", "0.1.0", keel::Idefics3ForConditionalGeneration,
            keel::Idefics3Processor);

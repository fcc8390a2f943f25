// What the models of LLaVA's line have in common: a decoder of the Llama line, and two linears that make rows of its
// embeddings of CLIP's features of patches.
//
//   #include "sdk/keel/blocks/llava.h"
//   #include "sdk/keel/blocks/vit.h"
//   using namespace keel;
//
//   struct MyLlava : DenseDecoder<LlavaModelConfig> {
//     static constexpr const char* kModelType = "my_llava";
//     static constexpr const char* kArchitectures[] = {"MyLlava"};
//     Vit vision_tower;
//     LlavaMultiModalProjector multi_modal_projector;
//     MyLlava(const Scope& root, const LlavaModelConfig& c)
//         : DenseDecoder(root, c),
//           vision_tower(root / "vision_tower", c.vision, c.vision_feature_layer),
//           multi_modal_projector(root / "multi_modal_projector", c) {}
//     Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
//       return multi_modal_projector(vision_tower.Patches(vision_tower(in[0], in[1])));
//     }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_LLAVA_H_
#define KEEL_SDK_KEEL_BLOCKS_LLAVA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/vit.h"

namespace keel {

// What a family has where its file leaves a key out, if not LLaVA's.
struct LlavaDefaults {
  TextModelOptions text = {};
  const char* text_type = "llama";
  VitDefaults vision = ClipVit();
  int64_t vision_feature_layer = -2;
  const char* select_strategy = "default";
};

struct LlavaModelConfig : TextModelConfig {
  VitConfig vision;
  int64_t vision_feature_layer;  // how many layers run
  bool has_class, multimodal_projector_bias;
  uint32_t projector_hidden_act;
  explicit LlavaModelConfig(const Config& c, const LlavaDefaults& d = {})
      : TextModelConfig(c, d.text_type, d.text),
        vision(c.Object("vision_config"), d.vision),
        vision_feature_layer(c.Int("vision_feature_layer", d.vision_feature_layer)),
        multimodal_projector_bias(c.Bool("multimodal_projector_bias", true)),
        projector_hidden_act(c.Activation("projector_hidden_act", "gelu")) {
    const std::string strategy = c.String("vision_feature_select_strategy", d.select_strategy);
    if (strategy != "default" && strategy != "full")
      c.Fail("vision_feature_select_strategy", "is '" + strategy + "', expected default or full");
    has_class = strategy == "full";
    if (vision_feature_layer < 0) vision_feature_layer += vision.num_hidden_layers + 1;
    if (vision_feature_layer < 1 || vision_feature_layer > vision.num_hidden_layers) {
      c.Fail("vision_feature_layer", "is none of the layers of vision_config");
      vision_feature_layer = 1;
    }
  }
  // That LlavaTileTower gives of a tile.
  int64_t TileRows() const { return vision.patches + 1; }
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
  LlavaMultiModalProjector(const Scope& s, const LlavaModelConfig& c)
      : linear_1(s / "linear_1", c.vision.hidden_size, c.hidden_size, c.multimodal_projector_bias),
        linear_2(s / "linear_2", c.hidden_size, c.hidden_size, c.multimodal_projector_bias),
        act(c.projector_hidden_act) {}
  Tensor operator()(Tensor x) const { return linear_2(linear_1(x).Act(act)); }
};

// The tower of models that cut images into tiles: of each tile the features of its patches, and behind them the vector
// that stands for the end of a row, [tiles * (patches + 1), H].
struct LlavaTileTower {
  int64_t hidden_size, patches;
  Vit vision_tower;
  LlavaMultiModalProjector multi_modal_projector;
  Param image_newline;
  LlavaTileTower(const Scope& root, const LlavaModelConfig& c)
      : hidden_size(c.hidden_size),
        patches(c.vision.patches),
        vision_tower(root / "vision_tower", c.vision, c.vision_feature_layer),
        multi_modal_projector(root / "multi_modal_projector", c),
        image_newline(root / "image_newline", {c.hidden_size}) {}
  Tensor operator()(Tensor pixel_values, Tensor segments) const {
    const Tensor features =
        multi_modal_projector(vision_tower.Patches(vision_tower(pixel_values, segments)));
    const Tensor tiles = features.View({-1, patches, hidden_size});
    const Tensor newline = image_newline(features.run).View({1, 1, hidden_size});
    return Cat({tiles, newline.ExpandAs(tiles.Narrow(1, 0, 1))}, 1).View({-1, hidden_size});
  }
  // Of its weights, for a spec.
  static Rename NewlineRename() {
    return {.from = {R"(model\.image_newline)"}, .to = {"image_newline"}};
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_LLAVA_H_

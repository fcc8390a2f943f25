// LLaVA-OneVision (arXiv:2408.03326), as in transformers' models/llava_onevision/modeling_llava_onevision.py: SigLIP's
// features of an image as a whole and of the tiles that it is cut into, row by row and made smaller where they are many, or
// of a video's frames, pooled, among the embeddings of a Qwen2 decoder.
#include <cstdint>
#include <string_view>
#include <vector>

#include "plugins/llava_onevision/processing_llava_onevision.h"
#include "sdk/keel/blocks/llava.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct LlavaOnevisionConfig : LlavaModelConfig {
  explicit LlavaOnevisionConfig(const Config& c)
      : LlavaModelConfig(c, {.text = {.text_config_ties = true},
                             .text_type = "qwen2",
                             .vision = {},
                             .vision_feature_layer = -1,
                             .select_strategy = "full"}) {
    if (!has_class)
      c.Fail("vision_feature_select_strategy", "is 'default', expected full: SigLIP has no class");
  }
  Spec spec() const {
    Spec s = LlavaModelConfig::spec();
    s.renames.push_back(LlavaTileTower::NewlineRename());
    s.inputs.push_back(
        {"image", "taps", KEEL_I64, {-3, 4}, {}, {KEEL_MERGE_INDICES, -1, TileRows()}});
    s.inputs.push_back({"image", "tap_weights", KEEL_F32, {-3, 4}, {}, {KEEL_MERGE_ROWS}});
    const std::vector<Spec::Input> image = s.inputs;
    for (Spec::Input input : image) {
      input.graph = "video";
      s.inputs.push_back(input);
    }
    return s;
  }
};

struct LlavaOnevisionForConditionalGeneration : DenseDecoder<LlavaOnevisionConfig> {
  static constexpr const char* kModelType = "llava_onevision";
  static constexpr const char* kArchitectures[] = {"LlavaOnevisionForConditionalGeneration"};

  LlavaTileTower tower;
  LlavaOnevisionForConditionalGeneration(const Scope& root, const LlavaOnevisionConfig& c)
      : DenseDecoder(root, c), tower(root, c) {}

  // What an image or a video has are mixtures of four rows.
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor pixel_values = in[0], segments = in[1], taps = in[2], tap_weights = in[3];
    const Tensor rows = tower(pixel_values, segments);
    const auto tap = [&](int64_t i) {
      const Tensor of = rows.Rows(taps.Narrow(1, i, 1).View({-1})).Cast(KEEL_F32);
      return of * tap_weights.Narrow(1, i, 1);
    };
    return (tap(0) + tap(1) + tap(2) + tap(3)).Cast(KEEL_DTYPE_MODEL);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.llava_onevision", "0.1.0", keel::LlavaOnevisionForConditionalGeneration,
            keel::LlavaOnevisionProcessor);

// LLaVA-NeXT (LLaVA 1.6), as in transformers' models/llava_next/modeling_llava_next.py: LLaVA's features of an image as a
// whole, and of the tiles that it is cut into, put together row by row, without what was added around the image.
#include <cstdint>
#include <string_view>
#include <vector>

#include "plugins/llava_next/processing_llava_next.h"
#include "sdk/keel/blocks/llava.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct LlavaNextConfig : LlavaModelConfig {
  explicit LlavaNextConfig(const Config& c) : LlavaModelConfig(c) {
    if (has_class)
      c.Fail("vision_feature_select_strategy", "is 'full', expected default: features of patches");
  }
  Spec spec() const {
    Spec s = LlavaModelConfig::spec();
    s.renames.push_back(LlavaTileTower::NewlineRename());
    s.inputs.push_back(
        {"image", "packed_index", KEEL_I64, {-3}, {}, {KEEL_MERGE_INDICES, -1, TileRows()}});
    return s;
  }
};

struct LlavaNextForConditionalGeneration : DenseDecoder<LlavaNextConfig> {
  static constexpr const char* kModelType = "llava_next";
  static constexpr const char* kArchitectures[] = {"LlavaNextForConditionalGeneration"};

  LlavaTileTower tower;
  LlavaNextForConditionalGeneration(const Scope& root, const LlavaNextConfig& c)
      : DenseDecoder(root, c), tower(root, c) {}

  // packed_index takes what the image has, in its order.
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    const Tensor pixel_values = in[0], segments = in[1], packed_index = in[2];
    return tower(pixel_values, segments).Rows(packed_index);
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.llava_next", "0.1.0", keel::LlavaNextForConditionalGeneration,
            keel::LlavaNextProcessor);

// What the models of Qwen-VL's line have in common besides their towers: a Qwen2 decoder whose rotary positions have a
// time, a height and a width (M-RoPE, arXiv:2409.12191), and inputs of patches.
//
//   #include "sdk/keel/blocks/qwen_vl.h"
//   using namespace keel;
//
//   struct MyVlConfig : QwenVlConfig {
//     PatchSizes vision;
//     explicit MyVlConfig(const Config& c)
//         : QwenVlConfig(c),
//           vision(c.Object("vision_config"), c.Int("vision_config/embed_dim", 1280), "embed_dim", 14) {}
//     Spec spec() const { return WithPatches(vision); }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_QWEN_VL_H_
#define KEEL_SDK_KEEL_BLOCKS_QWEN_VL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/blocks/patches.h"

namespace keel {

struct QwenVlConfig : DenseConfig {
  WindowedLayers windows;
  std::vector<int64_t> mrope_section;
  bool nested;  // newer files have the decoder's keys in text_config
  // `d`, `sections`: the family's, where they are not Qwen2-VL's.
  explicit QwenVlConfig(const Config& c, const DenseDefaults& d = Qwen2VlDefaults(),
                        const std::vector<int64_t>& sections = {16, 24, 24})
      : QwenVlConfig(c, c.Child("text_config"), d, sections) {}

  RopeAttention::Options attention(int layer) const {
    return {.qkv_bias = true, .window = windows(layer)};
  }
  keel_rope_desc rope() const {
    return {.head_dim = head_dim,
            .theta = rope_theta,
            .params = nested ? "text_config/rope_parameters" : nullptr,
            .num_sections = 3,
            .sections = {mrope_section[0], mrope_section[1], mrope_section[2]}};
  }
  // The decoder's, with inputs of a tower named visual: patches, where they are, which see each other.
  Spec WithPatches(const PatchSizes& vision) const {
    Spec s = DenseConfig::spec();
    s.renames = {{.from = {"model\\.language_model\\.(.*)"}, .to = {"model.\\1"}},
                 {.from = {"model\\.visual\\.(.*)"}, .to = {"visual.\\1"}}};
    s.inputs = {{"forward", "positions", KEEL_I64, {3, -1}}};
    const int64_t unit = vision.merge_unit;  // -1: tokens, each of `unit` patches
    for (const char* tower : {"image", "video"}) {
      s.inputs.push_back({tower,
                          "pixel_values",
                          KEEL_DTYPE_MODEL,
                          {-1, vision.patch_values()},
                          {unit},
                          {KEEL_MERGE_ROWS}});
      s.inputs.push_back({tower, "positions", KEEL_I64, {2, -1}, {1, unit}, {KEEL_MERGE_ROWS}});
      s.inputs.push_back({tower, "cu_seqlens", KEEL_I32, {-2}, {}, {KEEL_MERGE_BORDERS}});
    }
    return s;
  }

 private:
  static DenseDefaults Qwen2VlDefaults() {
    return {.vocab_size = 152064,
            .hidden_size = 8192,
            .intermediate_size = 29568,
            .num_hidden_layers = 80,
            .num_attention_heads = 64,
            .num_key_value_heads = 8,
            .max_position_embeddings = 32768,
            .rms_norm_eps = 1e-5,
            .rope_theta = 1000000};
  }
  QwenVlConfig(const Config& c, const std::optional<Config>& text_config, const DenseDefaults& d,
               const std::vector<int64_t>& sections)
      : DenseConfig(text_config.value_or(c), d),
        windows(text_config.value_or(c), 80),
        nested(text_config.has_value()) {
    const Config text = text_config.value_or(c);
    // Some files have it in text_config.
    tie_word_embeddings =
        c.Bool("tie_word_embeddings", false) || text.Bool("tie_word_embeddings", false);
    const char* key = text.Has("rope_parameters") ? "rope_parameters/mrope_section"
                                                  : "rope_scaling/mrope_section";
    mrope_section = text.Has(key) ? text.Ints(key) : sections;
    if (mrope_section.size() == 3) return;
    text.Fail(key, "has " + std::to_string(mrope_section.size()) +
                       " numbers, expected 3: time, height, width");
    mrope_section = {1, 1, 1};
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_QWEN_VL_H_

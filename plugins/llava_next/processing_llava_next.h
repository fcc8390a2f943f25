// The processor of LLaVA-NeXT, as in transformers' processing_llava_next.py, with what modeling_llava_next.py computes from
// sizes alone: which rows of the tiles' features are the image's.
#ifndef KEEL_PLUGINS_LLAVA_NEXT_PROCESSING_LLAVA_NEXT_H_
#define KEEL_PLUGINS_LLAVA_NEXT_PROCESSING_LLAVA_NEXT_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/keel/blocks/anyres_images.h"
#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {

class LlavaNextProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"LlavaNextProcessor"};

  LlavaNextProcessor(const Config& config, const Assets& assets)
      : LlavaNextProcessor(config, assets, ImageProcessorConfig(assets),
                           VitConfig(config.Object("vision_config"), ClipVit())) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, image_token_, image_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    const AnyresImages::Grid grid = images_.GridOf(media);
    return images_.Count(media, images_.patches() + grid.rows() * (grid.columns() + 1));
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    images_.Preprocess(items, inputs);
    std::vector<int64_t> index;
    int64_t tile = 0;
    for (const keel_media& item : items) {
      const AnyresImages::Grid grid = images_.GridOf(item);
      AppendIndex(grid, tile, index);
      tile += grid.tiles();
    }
    const auto n = static_cast<int64_t>(index.size());
    std::copy(index.begin(), index.end(), inputs.I64("packed_index", {n}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return Repeated(image_token_, item.tokens);
  }

 private:
  // The rows of an image whose first tile is `tile`: those of the whole of it, then line by line what the others show.
  void AppendIndex(const AnyresImages::Grid& grid, int64_t tile,
                   std::vector<int64_t>& index) const {
    const int64_t patches = images_.patches(),
                  stride = patches + 1;  // the last of a tile is a newline
    for (int64_t i = 0; i < patches; ++i) index.push_back(tile * stride + i);
    for (int64_t y = 0; y < grid.rows(); ++y) {
      for (int64_t x = 0; x < grid.columns(); ++x) {
        const int64_t patch = images_.PatchOf(grid, y, x);
        index.push_back((tile + 1 + patch / patches) * stride + patch % patches);
      }
      index.push_back(tile * stride + patches);
    }
  }

  LlavaNextProcessor(const Config& config, const Assets& assets,
                     const std::optional<Config>& images, const VitConfig& vision)
      : images_(config, assets, images, vision,
                {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}}) {
    if (const auto c = assets.Json("processor_config.json")) {
      image_token_ = c->String("image_token", "<image>");
      const int64_t patch_size = c->Int("patch_size", vision.patch_size);
      if (patch_size != vision.patch_size)
        c->Fail("patch_size", "is " + std::to_string(patch_size) +
                                  ", expected that of config.json, " +
                                  std::to_string(vision.patch_size));
      const bool drops_class = c->String("vision_feature_select_strategy", "") == "default";
      if (c->Int("num_additional_image_tokens", 0) != (drops_class ? 1 : 0))
        c->Fail("num_additional_image_tokens",
                "gives an image other tokens than features, expected 1, the tower's class");
    }
    image_token_id_ = assets.TokenId(image_token_);
    if (!images) return;
    const int64_t size = images_.size(), shortest = images->Int("size/shortest_edge", size);
    images_.CheckSize(*images, "size", HeightAndWidth(*images, "size", shortest, shortest));
    images_.CheckSize(*images, "crop_size", HeightAndWidth(*images, "crop_size", size, size));
  }

  const AnyresImages images_;
  std::string image_token_ = "<image>";
  int64_t image_token_id_ = 0;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_LLAVA_NEXT_PROCESSING_LLAVA_NEXT_H_

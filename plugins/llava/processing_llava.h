// The processor of LLaVA 1.5, as in transformers' processing_llava.py and image_processing_clip.py.
#ifndef KEEL_PLUGINS_LLAVA_PROCESSING_LLAVA_H_
#define KEEL_PLUGINS_LLAVA_PROCESSING_LLAVA_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {

class LlavaProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"LlavaProcessor"};

  LlavaProcessor(const Config& config, const Assets& assets)
      : LlavaProcessor(config, assets, ImageProcessorConfig(assets)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, image_token_, image_token_id_}};
  }

  // Whatever its size, an image has the tokens of one crop.
  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    ResizedSize(media);
    keel_media_count count{};
    count.patches = 1;
    count.grid_t = 1;
    count.grid_h = crop_height_ / patch_size_;
    count.grid_w = crop_width_ / patch_size_;
    count.tokens = count.features = count.grid_h * count.grid_w + more_tokens_;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const auto n = static_cast<int64_t>(items.size());
    float* out = inputs.F32("pixel_values", {n, 3, crop_height_, crop_width_}).data();
    for (const keel_media& item : items) {
      Pixels pixels = PixelsOf(item);
      const auto [height, width] = ResizedSize(item);
      pixels = Resize(assets_, std::move(pixels), settings_.resample, height, width);
      pixels = CenterCrop(pixels, crop_height_, crop_width_);
      out = settings_.Normalize(pixels, 0, 0, crop_height_, crop_width_, out);
    }
    const std::vector<int32_t> borders = TileBorders(n, rows_);
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {n + 1}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return Repeated(image_token_, item.tokens);
  }

 private:
  // The shorter side becomes shortest_edge, the longer one is rounded down.
  std::pair<int64_t, int64_t> ResizedSize(const keel_media& image) const {
    constexpr int64_t kMostPixels = 1 << 26;
    const int64_t shorter = std::min(image.height, image.width);
    const int64_t height = shortest_edge_ * image.height / shorter,
                  width = shortest_edge_ * image.width / shorter;
    if (height > kMostPixels / width)
      throw Error("an image is " + std::to_string(image.height) + "x" +
                  std::to_string(image.width) + ", expected a nearer aspect: it has more than " +
                  std::to_string(kMostPixels) + " pixels when its shorter side is " +
                  std::to_string(shortest_edge_));
    return {height, width};
  }

  LlavaProcessor(const Config& config, const Assets& assets, const std::optional<Config>& images)
      : assets_(assets), settings_(images, ImageSettings::Clip()) {
    const VitConfig vision(config.Object("vision_config"), ClipVit());
    rows_ = vision.rows();
    patch_size_ = vision.patch_size;
    if (const auto c = assets.Json("processor_config.json")) {
      image_token_ = c->String("image_token", "<image>");
      patch_size_ = c->Int("patch_size", patch_size_);
      more_tokens_ = c->Int("num_additional_image_tokens", 0);
      if (c->String("vision_feature_select_strategy", "") == "default") --more_tokens_;
    }
    image_token_id_ = assets.TokenId(image_token_);
    const Config c = images.value_or(config);
    if (images) {
      shortest_edge_ = images->IsObject("size") ? images->Int("size/shortest_edge", 224)
                                                : images->Int("size", 224);
      std::tie(crop_height_, crop_width_) = HeightAndWidth(*images, "crop_size", 224, 224);
      if (!images->Bool("do_center_crop", true))
        c.Fail("do_center_crop", "is false, expected true");
    }
    shortest_edge_ = CheckedSide(c, "size", shortest_edge_);
    if (crop_height_ != vision.image_size || crop_width_ != vision.image_size || patch_size_ < 1)
      c.Fail("crop_size", "is " + std::to_string(crop_height_) + "x" + std::to_string(crop_width_) +
                              ", expected the image_size of vision_config, " +
                              std::to_string(vision.image_size));
    crop_height_ = crop_width_ = vision.image_size;
    patch_size_ = std::max<int64_t>(patch_size_, 1);
  }

  const Assets assets_;
  const ImageSettings settings_;
  std::string image_token_ = "<image>";
  int64_t image_token_id_ = 0, shortest_edge_ = 224, crop_height_ = 224, crop_width_ = 224;
  int64_t patch_size_ = 14, more_tokens_ = 0, rows_ = 0;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_LLAVA_PROCESSING_LLAVA_H_

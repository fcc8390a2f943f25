// Images for a vision transformer of one size: each is stretched to its square, whatever its aspect.
//
//   #include "sdk/keel/blocks/square_images.h"
//   using namespace keel;
//
//   // Inputs of a Vit's encode, and how many rows the tower makes of an image.
//   int64_t Take(const Config& config, const Assets& assets, MediaItems items, const TensorSink& inputs) {
//     const SquareImages images(config, assets, ImageSettings::Siglip());
//     images.Preprocess(items, inputs);
//     return images.patches();
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_SQUARE_IMAGES_H_
#define KEEL_SDK_KEEL_BLOCKS_SQUARE_IMAGES_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/config.h"
#include "sdk/keel/processor.h"

namespace keel {

class SquareImages {
 public:
  SquareImages(const Config& config, const Assets& assets, const ImageSettings& defaults)
      : SquareImages(config, assets, ImageProcessorConfig(assets), defaults) {}

  int64_t patches() const { return side_ * side_; }  // of an image

  keel_media_count Count(const keel_media& media, int64_t tokens) const {
    CheckIsImage(media);
    keel_media_count count{};
    count.patches = count.grid_t = 1;
    count.grid_h = count.grid_w = side_;
    count.tokens = count.features = tokens;
    return count;
  }

  // pixel_values and segments, as VitConfig::inputs declares them.
  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    float* out = Begin(static_cast<int64_t>(items.size()), inputs);
    for (const keel_media& item : items) out = Put(PixelsOf(item), out);
  }

  // The same in steps, for `n` images: where the pixels of the first go, and of each where the next one's do.
  float* Begin(int64_t n, const TensorSink& inputs) const {
    const std::vector<int32_t> borders = TileBorders(n, patches());
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {n + 1}).begin());
    return inputs.F32("pixel_values", {n, 3, size_, size_}).data();
  }
  float* Put(Pixels image, float* out) const {
    const Pixels square = Resize(assets_, std::move(image), settings_.resample, size_, size_);
    return settings_.Normalize(square, 0, 0, size_, size_, out);
  }

 private:
  SquareImages(const Config& config, const Assets& assets, const std::optional<Config>& images,
               const ImageSettings& defaults)
      : assets_(assets), settings_(images, defaults) {
    const VitConfig vision(config.Object("vision_config"), {});
    size_ = vision.image_size;
    side_ = vision.side;
    if (!images) return;
    const auto [height, width] = HeightAndWidth(*images, "size", 224, 224);
    if (height != size_ || width != size_)
      images->Fail("size", "is " + std::to_string(height) + "x" + std::to_string(width) +
                               ", expected the image_size of vision_config, " +
                               std::to_string(size_));
  }

  const Assets assets_;
  const ImageSettings settings_;
  int64_t size_ = 1, side_ = 1;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_SQUARE_IMAGES_H_

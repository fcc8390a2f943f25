// The processor of InternVL, as in transformers' processing_internvl.py and image_processing_got_ocr2.py: an image is
// stretched to the grid of tiles that has the nearest aspect, and followed by the whole of it in one more tile.
#ifndef KEEL_PLUGINS_INTERNVL_PROCESSING_INTERNVL_H_
#define KEEL_PLUGINS_INTERNVL_PROCESSING_INTERNVL_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {

class InternVLProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"InternVLProcessor"};

  InternVLProcessor(const Config& config, const Assets& assets)
      : InternVLProcessor(config, assets, ImageProcessorConfig(assets)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE,
             context_,
             assets_.TokenId(context_),
             {assets_.TokenId(start_), assets_.TokenId(end_)}}};
  }

  // grid_h and grid_w: rows and columns of tiles.
  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    keel_media_count count{};
    count.grid_t = 1;
    std::tie(count.grid_h, count.grid_w) = BestGrid(media.height, media.width);
    const int64_t tiles = count.grid_h * count.grid_w;
    count.patches = tiles > 1 ? tiles + 1 : 1;
    count.features = count.patches * image_seq_length_;
    count.tokens = count.features + 2;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    int64_t tiles = 0;
    for (const keel_media& item : items) tiles += Count(item).patches;
    float* out = inputs.F32("pixel_values", {tiles, 3, tile_, tile_}).data();
    for (const keel_media& item : items) {
      const keel_media_count grid = Count(item);
      const auto resized = [&](int64_t rows, int64_t columns) {
        return Resize(assets_, PixelsOf(item), settings_.resample, rows * tile_, columns * tile_);
      };
      const Pixels pixels = resized(grid.grid_h, grid.grid_w);
      for (int64_t top = 0; top < pixels.height; top += tile_) {
        for (int64_t left = 0; left < pixels.width; left += tile_)
          out = settings_.Normalize(pixels, top, left, tile_, tile_, out);
      }
      if (grid.patches > 1) out = settings_.Normalize(resized(1, 1), 0, 0, tile_, tile_, out);
    }
    const std::vector<int32_t> borders = TileBorders(tiles, rows_);
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {tiles + 1}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return start_ + Repeated(context_, item.features) + end_;
  }

 private:
  InternVLProcessor(const Config& config, const Assets& assets, const std::optional<Config>& images)
      : assets_(assets), settings_(images, ImageSettings::Clip()) {
    const VitConfig vision(config.Object("vision_config"), InternVit());
    rows_ = vision.rows();
    const auto factor = static_cast<int64_t>(1 / config.Real("downsample_ratio", 0.5));
    image_seq_length_ = vision.patches / std::max<int64_t>(factor * factor, 1);
    if (images) {
      std::tie(tile_height_, tile_) = HeightAndWidth(*images, "size", 384, 384);
      min_patches_ = CheckedSide(*images, "min_patches", images->Int("min_patches", 1));
      max_patches_ = images->Int("max_patches", 12);
    }
    const Config c = images.value_or(config);
    if (tile_height_ != vision.image_size || tile_ != vision.image_size) {
      c.Fail("size", "is " + std::to_string(tile_height_) + "x" + std::to_string(tile_) +
                         ", expected the image_size of vision_config, " +
                         std::to_string(vision.image_size));
    }
    tile_ = vision.image_size;
    constexpr int64_t kMostPatches = 1024;
    if (max_patches_ < min_patches_ || max_patches_ > kMostPatches) {
      c.Fail("max_patches", "is " + std::to_string(max_patches_) + ", expected min_patches to " +
                                std::to_string(kMostPatches));
      max_patches_ = min_patches_ = 1;
    }
    if (const auto whole = assets.Json("processor_config.json")) {
      if (whole->Int("image_seq_length", image_seq_length_) != image_seq_length_)
        whole->Fail("image_seq_length", "is not " + std::to_string(image_seq_length_) +
                                            ", the features of a tile by config.json");
    }
    if (const auto tokens = assets.Json("tokenizer_config.json")) {
      start_ = tokens->String("start_image_token", start_.c_str());
      end_ = tokens->String("end_image_token", end_.c_str());
      context_ = tokens->String("context_image_token", context_.c_str());
    }
    Tokens();  // fails now if the tokenizer lacks one
  }

  // transformers' get_optimal_tiled_canvas: rows and columns.
  std::pair<int64_t, int64_t> BestGrid(int64_t height, int64_t width) const {
    std::vector<std::pair<int64_t, int64_t>> grids;  // columns, rows
    for (int64_t columns = 1; columns <= max_patches_; ++columns) {
      for (int64_t rows = 1; columns * rows <= max_patches_; ++rows) {
        if (columns * rows >= min_patches_) grids.push_back({columns, rows});
      }
    }
    std::stable_sort(grids.begin(), grids.end(), [](const auto& a, const auto& b) {
      return a.first * a.second < b.first * b.second;
    });
    const double aspect = static_cast<double>(width) / static_cast<double>(height);
    double best = std::numeric_limits<double>::infinity();
    std::pair<int64_t, int64_t> found{1, 1};
    for (const auto& [columns, rows] : grids) {
      const double difference =
          std::abs(aspect - static_cast<double>(columns) / static_cast<double>(rows));
      // Of two that are as near, the one with more tiles, unless it is more than twice the image.
      const bool is_filled = 2 * height * width > tile_ * tile_ * columns * rows;
      if (difference < best || (difference == best && is_filled)) {
        best = difference;
        found = {rows, columns};
      }
    }
    return found;
  }

  const Assets assets_;
  const ImageSettings settings_;
  std::string start_ = "<img>", end_ = "</img>", context_ = "<IMG_CONTEXT>";
  int64_t tile_ = 384, tile_height_ = 384, image_seq_length_ = 256, rows_ = 0;
  int64_t min_patches_ = 1, max_patches_ = 12;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_INTERNVL_PROCESSING_INTERNVL_H_

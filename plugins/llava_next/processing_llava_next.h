// The processor of LLaVA-NeXT, as in transformers' processing_llava_next.py and image_processing_llava_next.py, with what
// modeling_llava_next.py computes from sizes alone: which rows of the tiles' features are the image's.
#ifndef KEEL_PLUGINS_LLAVA_NEXT_PROCESSING_LLAVA_NEXT_H_
#define KEEL_PLUGINS_LLAVA_NEXT_PROCESSING_LLAVA_NEXT_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {

class LlavaNextProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"LlavaNextProcessor"};

  LlavaNextProcessor(const Config& config, const Assets& assets)
      : LlavaNextProcessor(config, assets, ImageProcessorConfig(assets)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, image_token_, image_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    const Grid grid = GridOf(media.height, media.width);
    keel_media_count count{};
    count.patches = 1 + grid.tiles_h * grid.tiles_w;
    count.grid_t = 1;
    count.grid_h = grid.tiles_h;
    count.grid_w = grid.tiles_w;
    count.tokens = count.features = side_ * side_ + grid.rows() * (grid.columns() + 1);
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    std::vector<int64_t> index;
    int64_t tiles = 0;
    for (const keel_media& item : items) {
      const Grid grid = GridOf(item.height, item.width);
      AppendIndex(grid, tiles, index);
      tiles += 1 + grid.tiles_h * grid.tiles_w;
    }
    float* out = inputs.F32("pixel_values", {tiles, 3, size_, size_}).data();
    for (const keel_media& item : items) out = PutTiles(item, out);
    const std::vector<int32_t> borders = TileBorders(tiles, rows_);
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {tiles + 1}).begin());
    const auto n = static_cast<int64_t>(index.size());
    std::copy(index.begin(), index.end(), inputs.I64("packed_index", {n}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return Repeated(image_token_, item.tokens);
  }

 private:
  // The patches of an image's tiles, but for those above, below and beside the image in them.
  struct Grid {
    int64_t tiles_h, tiles_w, height, width, top, left;  // height, width: in patches
    int64_t rows() const { return height - 2 * top; }
    int64_t columns() const { return width - 2 * left; }
  };

  // transformers' select_best_resolution: of those that show most of the image, the smallest.
  std::pair<int64_t, int64_t> BestResolution(int64_t height, int64_t width) const {
    const double h = static_cast<double>(height), w = static_cast<double>(width);
    std::pair<int64_t, int64_t> best;
    int64_t most = 0, least_wasted = std::numeric_limits<int64_t>::max();
    for (const auto& [target_h, target_w] : pinpoints_) {
      const double scale =
          std::min(static_cast<double>(target_w) / w, static_cast<double>(target_h) / h);
      const int64_t shown = std::min(
          static_cast<int64_t>(w * scale) * static_cast<int64_t>(h * scale), height * width);
      const int64_t wasted = target_h * target_w - shown;
      if (shown < most || (shown == most && wasted >= least_wasted)) continue;
      best = {target_h, target_w};
      most = shown;
      least_wasted = wasted;
    }
    return best;
  }

  // transformers' unpad_image.
  Grid GridOf(int64_t height, int64_t width) const {
    const auto [best_h, best_w] = BestResolution(height, width);
    Grid grid{best_h / size_, best_w / size_, 0, 0, 0, 0};
    grid.height = grid.tiles_h * side_;
    grid.width = grid.tiles_w * side_;
    const double h = static_cast<double>(height), w = static_cast<double>(width),
                 rows = static_cast<double>(grid.height), columns = static_cast<double>(grid.width);
    const auto whole = [](double n) { return static_cast<int64_t>(std::nearbyint(n * 1e7) / 1e7); };
    if (w / h > columns / rows) {
      grid.top = (grid.height - whole(h * (columns / w))) / 2;
    } else {
      grid.left = (grid.width - whole(w * (rows / h))) / 2;
    }
    return grid;
  }

  // The rows of an image whose first tile is `tile`: those of the whole of it, then line by line what the others show.
  void AppendIndex(const Grid& grid, int64_t tile, std::vector<int64_t>& index) const {
    const int64_t patches = side_ * side_, stride = patches + 1;  // the last of a tile is a newline
    for (int64_t i = 0; i < patches; ++i) index.push_back(tile * stride + i);
    for (int64_t y = grid.top; y < grid.height - grid.top; ++y) {
      for (int64_t x = grid.left; x < grid.width - grid.left; ++x) {
        const int64_t of = tile + 1 + y / side_ * grid.tiles_w + x / side_;
        index.push_back(of * stride + y % side_ * side_ + x % side_);
      }
      index.push_back(tile * stride + patches);
    }
  }

  // The image as a whole, stretched, then the tiles of it in the middle of its best resolution; returns the end.
  float* PutTiles(const keel_media& item, float* out) const {
    const Pixels image = PixelsOf(item);
    const Pixels whole = Resize(assets_, image, settings_.resample, size_, size_);
    out = settings_.Normalize(whole, 0, 0, size_, size_, out);
    const auto [best_h, best_w] = BestResolution(image.height, image.width);
    const double h = static_cast<double>(image.height), w = static_cast<double>(image.width),
                 scale_h = static_cast<double>(best_h) / h,
                 scale_w = static_cast<double>(best_w) / w;
    int64_t height = best_h, width = best_w;
    if (scale_w < scale_h) {
      height = std::min(static_cast<int64_t>(std::ceil(h * scale_w)), best_h);
    } else {
      width = std::min(static_cast<int64_t>(std::ceil(w * scale_h)), best_w);
    }
    const Pixels canvas =
        CenterCrop(Resize(assets_, image, settings_.resample, height, width), best_h, best_w);
    for (int64_t top = 0; top < best_h; top += size_) {
      for (int64_t left = 0; left < best_w; left += size_)
        out = settings_.Normalize(canvas, top, left, size_, size_, out);
    }
    return out;
  }

  LlavaNextProcessor(const Config& config, const Assets& assets,
                     const std::optional<Config>& images)
      : assets_(assets), settings_(images, ImageSettings::Clip()) {
    const VitConfig vision(config.Object("vision_config"), ClipVit());
    size_ = vision.image_size;
    side_ = vision.side;
    rows_ = vision.rows();
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
    const Config c = images.value_or(config);
    if (images) {
      const int64_t shortest = images->Int("size/shortest_edge", size_);
      CheckSize(c, "size", HeightAndWidth(c, "size", shortest, shortest));
      CheckSize(c, "crop_size", HeightAndWidth(c, "crop_size", size_, size_));
    }
    ReadPinpoints(c);
  }

  void CheckSize(const Config& c, const char* key, const std::pair<int64_t, int64_t>& size) const {
    if (size.first != size_ || size.second != size_)
      c.Fail(key, "is " + std::to_string(size.first) + "x" + std::to_string(size.second) +
                      ", expected the image_size of vision_config, " + std::to_string(size_));
  }

  void ReadPinpoints(const Config& c) {
    constexpr const char* kKey = "image_grid_pinpoints";
    constexpr int64_t kMostTiles = 1 << 10;
    for (size_t i = 0; i < c.Size(kKey); ++i) {
      const std::string at = std::string(kKey) + "/" + std::to_string(i);
      const int64_t height = CheckedSide(c, kKey, c.Int((at + "/0").c_str())),
                    width = CheckedSide(c, kKey, c.Int((at + "/1").c_str()));
      if (height % size_ == 0 && width % size_ == 0 &&
          height / size_ * (width / size_) <= kMostTiles) {
        pinpoints_.emplace_back(height, width);
      } else {
        c.Fail(kKey, "has " + std::to_string(height) + "x" + std::to_string(width) +
                         ", expected whole tiles of " + std::to_string(size_) + ", at most " +
                         std::to_string(kMostTiles));
      }
    }
    if (!pinpoints_.empty()) return;
    pinpoints_ = {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
    if (336 % size_ != 0) c.Fail(kKey, "is missing, expected whole tiles of image_size");
  }

  const Assets assets_;
  const ImageSettings settings_;
  std::string image_token_ = "<image>";
  int64_t image_token_id_ = 0, size_ = 336, side_ = 24,
          rows_ = 0;                                    // side_: patches of a tile's row
  std::vector<std::pair<int64_t, int64_t>> pinpoints_;  // height and width
};

}  // namespace keel

#endif  // KEEL_PLUGINS_LLAVA_NEXT_PROCESSING_LLAVA_NEXT_H_

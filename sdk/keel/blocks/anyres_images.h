// Images of any size for a vision transformer of one size (LLaVA-NeXT's anyres): each is cut into tiles of the resolution
// that shows most of it, behind the whole of it, stretched; and of the features of the tiles those are the image's that no
// padding is in.
//
//   #include "sdk/keel/blocks/anyres_images.h"
//   using namespace keel;
//
//   // pixel_values and segments of images, and how many patches each shows.
//   std::vector<int64_t> Take(const AnyresImages& images, MediaItems items, const TensorSink& inputs) {
//     images.Preprocess(items, inputs);
//     std::vector<int64_t> shown;
//     for (const keel_media& item : items) {
//       const AnyresImages::Grid grid = images.GridOf(item);
//       shown.push_back(grid.rows() * grid.columns());
//     }
//     return shown;
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_ANYRES_IMAGES_H_
#define KEEL_SDK_KEEL_BLOCKS_ANYRES_IMAGES_H_

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
#include "sdk/keel/config.h"
#include "sdk/keel/processor.h"

namespace keel {

class AnyresImages {
 public:
  using Size = std::pair<int64_t, int64_t>;  // height and width

  // The patches of an image's tiles, but for those above, below and beside the image in them.
  struct Grid {
    int64_t tiles_h, tiles_w, height, width, top, left;  // height, width: in patches
    int64_t rows() const { return height - 2 * top; }
    int64_t columns() const { return width - 2 * left; }
    int64_t tiles() const { return 1 + tiles_h * tiles_w; }  // with that of the whole image
  };

  // `images`: the image processor's settings, if the checkpoint has some; `pinpoints`: the family's resolutions.
  AnyresImages(const Config& config, const Assets& assets, const std::optional<Config>& images,
               const VitConfig& vision, const std::vector<Size>& pinpoints)
      : assets_(assets),
        settings_(images, ImageSettings::Clip()),
        size_(vision.image_size),
        side_(vision.side),
        rows_(vision.rows()) {
    ReadPinpoints(images.value_or(config), pinpoints);
  }

  int64_t size() const { return size_; }             // of a tile's side, in pixels
  int64_t side() const { return side_; }             // in patches
  int64_t patches() const { return side_ * side_; }  // of a tile

  keel_media_count Count(const keel_media& media, int64_t tokens) const {
    const Grid grid = GridOf(media);
    keel_media_count count{};
    count.patches = grid.tiles();
    count.grid_t = 1;
    count.grid_h = grid.tiles_h;
    count.grid_w = grid.tiles_w;
    count.tokens = count.features = tokens;
    return count;
  }

  // transformers' unpad_image.
  Grid GridOf(const keel_media& media) const {
    CheckIsImage(media);
    const auto [best_h, best_w] = BestResolution(media.height, media.width);
    Grid grid{best_h / size_, best_w / size_, 0, 0, 0, 0};
    grid.height = grid.tiles_h * side_;
    grid.width = grid.tiles_w * side_;
    const double h = static_cast<double>(media.height), w = static_cast<double>(media.width),
                 rows = static_cast<double>(grid.height), columns = static_cast<double>(grid.width);
    const auto whole = [](double n) { return static_cast<int64_t>(std::nearbyint(n * 1e7) / 1e7); };
    if (w / h > columns / rows) {
      grid.top = (grid.height - whole(h * (columns / w))) / 2;
    } else {
      grid.left = (grid.width - whole(w * (rows / h))) / 2;
    }
    return grid;
  }

  // Where the patch at row `y` and column `x` of those that are shown is among the patches of the tiles behind the whole.
  int64_t PatchOf(const Grid& grid, int64_t y, int64_t x) const {
    y += grid.top;
    x += grid.left;
    const int64_t tile = y / side_ * grid.tiles_w + x / side_;
    return tile * patches() + y % side_ * side_ + x % side_;
  }

  // pixel_values and segments, as VitConfig::inputs declares them.
  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    int64_t tiles = 0;
    for (const keel_media& item : items) tiles += GridOf(item).tiles();
    float* out = inputs.F32("pixel_values", {tiles, 3, size_, size_}).data();
    for (const keel_media& item : items) out = PutTiles(item, out);
    const std::vector<int32_t> borders = TileBorders(tiles, rows_);
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {tiles + 1}).begin());
  }

  // Refuses a size of a tile that is another than the tower's.
  void CheckSize(const Config& c, const char* key, const Size& size) const {
    if (size.first != size_ || size.second != size_)
      c.Fail(key, "is " + std::to_string(size.first) + "x" + std::to_string(size.second) +
                      ", expected the image_size of vision_config, " + std::to_string(size_));
  }

 private:
  // transformers' select_best_resolution: of those that show most of the image, the smallest.
  Size BestResolution(int64_t height, int64_t width) const {
    const double h = static_cast<double>(height), w = static_cast<double>(width);
    Size best;
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

  void ReadPinpoints(const Config& c, const std::vector<Size>& pinpoints) {
    constexpr const char* kKey = "image_grid_pinpoints";
    constexpr int64_t kMostTiles = 1 << 10;
    std::vector<Size> given;
    for (size_t i = 0; i < c.Size(kKey); ++i) {
      const std::string at = std::string(kKey) + "/" + std::to_string(i);
      const int64_t height = CheckedSide(c, kKey, c.Int((at + "/0").c_str())),
                    width = CheckedSide(c, kKey, c.Int((at + "/1").c_str()));
      given.emplace_back(height, width);
    }
    for (const auto& [height, width] : given.empty() ? pinpoints : given) {
      if (height % size_ == 0 && width % size_ == 0 &&
          height / size_ * (width / size_) <= kMostTiles) {
        pinpoints_.emplace_back(height, width);
      } else {
        c.Fail(kKey, "has " + std::to_string(height) + "x" + std::to_string(width) +
                         ", expected whole tiles of " + std::to_string(size_) + ", at most " +
                         std::to_string(kMostTiles));
      }
    }
    if (pinpoints_.empty()) pinpoints_ = {{size_, size_}};  // an error that was told
  }

  const Assets assets_;
  const ImageSettings settings_;
  const int64_t size_, side_, rows_;
  std::vector<Size> pinpoints_;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_ANYRES_IMAGES_H_

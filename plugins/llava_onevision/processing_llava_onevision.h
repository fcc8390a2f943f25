// The processor of LLaVA-OneVision, as in transformers' processing_llava_onevision.py, with what
// modeling_llava_onevision.py computes from sizes alone: of which rows of the tiles' features each feature is made.
#ifndef KEEL_PLUGINS_LLAVA_ONEVISION_PROCESSING_LLAVA_ONEVISION_H_
#define KEEL_PLUGINS_LLAVA_ONEVISION_PROCESSING_LLAVA_ONEVISION_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/anyres_images.h"
#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {

class LlavaOnevisionProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"LlavaOnevisionProcessor"};

  LlavaOnevisionProcessor(const Config& config, const Assets& assets)
      : LlavaOnevisionProcessor(config, assets, ImageProcessorConfig(assets),
                                VitConfig(config.Object("vision_config"), {})) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, image_token_, image_token_id_},
            {KEEL_MODALITY_VIDEO, video_token_, video_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    if (IsOneOfSeveral(media)) return CountWhole(media);
    if (media.modality != KEEL_MODALITY_VIDEO) {
      const auto [rows, columns] = ShownSize(images_.GridOf(media));
      return images_.Count(media, images_.patches() + rows * (columns + 1));
    }
    if (media.length < 1 || media.height < 1 || media.width < 1)
      throw Error("a video is " + std::to_string(media.length) + " frames of " +
                  std::to_string(media.height) + "x" + std::to_string(media.width) +
                  ", expected at least 1 of 1x1");
    keel_media_count count{};
    count.patches = count.grid_t = media.length;
    count.grid_h = count.grid_w = PooledSide();
    count.tokens = count.features = media.length * PooledSide() * PooledSide() + 1;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    Mixture out;
    if (items.size() > 0 && items[0].modality == KEEL_MODALITY_VIDEO) {
      PutFrames(items, inputs);
      for (const keel_media& item : items) AppendVideo(item.length, out);
    } else if (items.size() > 0 && IsOneOfSeveral(items[0])) {
      PutSquares(items, inputs);
      for (size_t i = 0; i < items.size(); ++i) AppendWhole(out);
    } else {
      images_.Preprocess(items, inputs);
      for (const keel_media& item : items) AppendImage(images_.GridOf(item), out);
    }
    const auto n = static_cast<int64_t>(out.indices.size()) / kTaps;
    std::copy(out.indices.begin(), out.indices.end(), inputs.I64("taps", {n, kTaps}).begin());
    std::copy(out.weights.begin(), out.weights.end(),
              inputs.F32("tap_weights", {n, kTaps}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return Repeated(item.modality == KEEL_MODALITY_VIDEO ? video_token_ : image_token_,
                    item.tokens);
  }

 private:
  static constexpr int64_t kTaps = 4;

  // Of each feature the rows that it is made of, and what of each. A tile has a row for each patch, and a newline.
  struct Mixture {
    int64_t tile = 0;  // the next item's first
    std::vector<int64_t> indices = {};
    std::vector<float> weights = {};
  };

  // One of several images is not cut: it is a tile, in a square of the mean color.
  static bool IsOneOfSeveral(const keel_media& media) {
    if (media.modality == KEEL_MODALITY_VIDEO) return false;
    const std::optional<Config> options = MediaOptions(media);
    return options && options->Int("batch_num_images", 1) != 1;
  }
  keel_media_count CountWhole(const keel_media& media) const {
    constexpr int64_t kLongestSide = 1 << 13;
    CheckIsImage(media);
    if (std::max(media.height, media.width) > kLongestSide)
      throw Error("an image is " + std::to_string(media.height) + "x" +
                  std::to_string(media.width) + ", expected sides of at most " +
                  std::to_string(kLongestSide) + " of one of several");
    keel_media_count count{};
    count.patches = count.grid_t = count.grid_h = count.grid_w = 1;
    count.tokens = count.features = images_.patches() + 1;
    return count;
  }

  int64_t PooledSide() const { return (images_.side() + 1) / 2; }

  // The rows and columns that an image's features are made smaller to.
  std::pair<int64_t, int64_t> ShownSize(const AnyresImages::Grid& grid) const {
    const double rows = static_cast<double>(grid.rows()),
                 columns = static_cast<double>(grid.columns()),
                 ratio = std::sqrt(rows * columns /
                                   static_cast<double>(max_tiles_ * images_.patches()));
    if (ratio <= 1.1) return {grid.rows(), grid.columns()};
    return {static_cast<int64_t>(std::floor(rows / ratio)),
            static_cast<int64_t>(std::floor(columns / ratio))};
  }

  // One that is a row.
  void Append(int64_t row, Mixture& out) const {
    out.indices.insert(out.indices.end(), kTaps, row);
    for (int64_t i = 0; i < kTaps; ++i) out.weights.push_back(i == 0 ? 1 : 0);
  }

  // The row of patch `patch` of the tiles from `tile` on, and that of a newline.
  int64_t RowOf(int64_t tile, int64_t patch) const {
    const int64_t patches = images_.patches();
    return (tile + patch / patches) * (patches + 1) + patch % patches;
  }
  int64_t Newline(int64_t tile) const { return RowOf(tile, 0) + images_.patches(); }

  // Those of the whole image, then line by line what the other tiles show, made smaller if it is too much.
  void AppendImage(const AnyresImages::Grid& grid, Mixture& out) const {
    for (int64_t i = 0; i < images_.patches(); ++i) Append(RowOf(out.tile, i), out);
    const auto [rows, columns] = ShownSize(grid);
    for (int64_t y = 0; y < rows; ++y) {
      for (int64_t x = 0; x < columns; ++x) {
        const size_t first = out.indices.size();
        AddTaps(MiddleTaps(y, rows, grid.rows()), MiddleTaps(x, columns, grid.columns()),
                grid.columns(), out.indices, out.weights);
        for (size_t i = first; i < out.indices.size(); ++i) {
          const int64_t row = out.indices[i] / grid.columns(),
                        column = out.indices[i] % grid.columns();
          out.indices[i] = RowOf(out.tile + 1, images_.PatchOf(grid, row, column));
        }
      }
      Append(Newline(out.tile), out);
    }
    out.tile += grid.tiles();
  }

  // Those of a tile, and one newline.
  void AppendWhole(Mixture& out) const {
    for (int64_t i = 0; i < images_.patches(); ++i) Append(RowOf(out.tile, i), out);
    Append(Newline(out.tile++), out);
  }

  // Those of each frame at half its sides, and one newline.
  void AppendVideo(int64_t frames, Mixture& out) const {
    const int64_t side = images_.side(), pooled = PooledSide(), begin = out.tile;
    for (; out.tile < begin + frames; ++out.tile) {
      for (int64_t i = 0; i < pooled * pooled; ++i) {
        const size_t first = out.indices.size();
        AddTaps(MiddleTaps(i / pooled, pooled, side), MiddleTaps(i % pooled, pooled, side), side,
                out.indices, out.weights);
        for (size_t tap = first; tap < out.indices.size(); ++tap)
          out.indices[tap] = RowOf(out.tile, out.indices[tap]);
      }
    }
    Append(Newline(begin), out);
  }

  void PutFrames(MediaItems items, const TensorSink& inputs) const {
    int64_t frames = 0;
    for (const keel_media& item : items) frames += item.length;
    PutTiles(frames, video_settings_, inputs, [&](const auto& put) {
      for (const keel_media& item : items) {
        for (int64_t i = 0; i < item.length; ++i) put(PixelsOf(item, i));
      }
    });
  }

  void PutSquares(MediaItems items, const TensorSink& inputs) const {
    PutTiles(static_cast<int64_t>(items.size()), image_settings_, inputs, [&](const auto& put) {
      for (const keel_media& item : items) put(InSquare(PixelsOf(item)));
    });
  }

  // pixel_values and segments: each of the `n` pictures that `put_all` puts is a tile, stretched.
  template <typename PutAll>
  void PutTiles(int64_t n, const ImageSettings& settings, const TensorSink& inputs,
                const PutAll& put_all) const {
    const int64_t size = images_.size();
    float* out = inputs.F32("pixel_values", {n, 3, size, size}).data();
    put_all([&](const Pixels& picture) {
      const Pixels tile = Resize(assets_, picture, settings.resample, size, size);
      out = settings.Normalize(tile, 0, 0, size, size, out);
    });
    const std::vector<int32_t> borders = TileBorders(n, images_.patches());
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {n + 1}).begin());
  }

  // The image in the middle of a square of its longer side.
  Pixels InSquare(const Pixels& image) const {
    const int64_t side = std::max(image.height, image.width);
    if (image.height == image.width) return image;
    const int64_t top = (side - image.height) / 2, left = (side - image.width) / 2;
    Pixels out{side, side, std::vector<uint8_t>(static_cast<size_t>(side * side * 3))};
    for (size_t i = 0; i < out.bytes.size(); ++i)
      out.bytes[i] = static_cast<uint8_t>(image_settings_.mean[i % 3] * 255);
    for (int64_t y = 0; y < image.height; ++y) {
      std::copy_n(image.at(y, 0), image.width * 3,
                  out.bytes.data() + ((top + y) * side + left) * 3);
    }
    return out;
  }

  // All of up to 6 x 6 tiles.
  static std::vector<AnyresImages::Size> Pinpoints() {
    constexpr int64_t kTile = 384, kMost = 6;
    std::vector<AnyresImages::Size> out;
    for (int64_t h = 1; h <= kMost; ++h) {
      for (int64_t w = 1; w <= kMost; ++w) out.emplace_back(h * kTile, w * kTile);
    }
    return out;
  }

  // anyres_max_9: features of as many tiles, at most.
  static int64_t MaxTiles(const Config& c) {
    const std::string prefix = "anyres_max_",
                      ratio = c.String("vision_aspect_ratio", "anyres_max_9");
    const int64_t tiles = ratio.compare(0, prefix.size(), prefix) == 0
                              ? std::atoll(ratio.c_str() + prefix.size())
                              : 0;
    if (tiles >= 1 && tiles <= 1 << 10) return tiles;
    c.Fail("vision_aspect_ratio", "is '" + ratio + "', expected anyres_max_1 to anyres_max_1024");
    return 1;
  }

  LlavaOnevisionProcessor(const Config& config, const Assets& assets,
                          const std::optional<Config>& images, const VitConfig& vision)
      : assets_(assets),
        images_(config, assets, images, vision, Pinpoints()),
        image_settings_(images, ImageSettings::Clip()),
        video_settings_(VideoProcessorConfig(assets), ImageSettings::Clip()),
        max_tiles_(MaxTiles(config)) {
    if (const auto c = assets.Json("processor_config.json")) {
      image_token_ = c->String("image_token", "<image>");
      video_token_ = c->String("video_token", "<video>");
      if (c->Int("num_image_tokens", images_.patches()) != images_.patches())
        c->Fail("num_image_tokens",
                "is another number than the tower's patches, " + std::to_string(images_.patches()));
      if (MaxTiles(*c) != max_tiles_)
        c->Fail("vision_aspect_ratio", "is another than that of config.json");
    }
    image_token_id_ = assets.TokenId(image_token_);
    video_token_id_ = assets.TokenId(video_token_);
    for (const auto& c : {images, VideoProcessorConfig(assets)}) {
      if (c) images_.CheckSize(*c, "size", HeightAndWidth(*c, "size", 384, 384));
    }
  }

  const Assets assets_;
  const AnyresImages images_;
  const ImageSettings image_settings_, video_settings_;
  const int64_t max_tiles_;
  std::string image_token_ = "<image>", video_token_ = "<video>";
  int64_t image_token_id_ = 0, video_token_id_ = 0;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_LLAVA_ONEVISION_PROCESSING_LLAVA_ONEVISION_H_

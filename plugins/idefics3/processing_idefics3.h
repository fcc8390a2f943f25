// The processors of Idefics3 and SmolVLM, as in transformers' processing_idefics3.py and image_processing_idefics3.py: an
// image is cut into tiles of one size, row by row, and followed by the whole of it in one more.
#ifndef KEEL_PLUGINS_IDEFICS3_PROCESSING_IDEFICS3_H_
#define KEEL_PLUGINS_IDEFICS3_PROCESSING_IDEFICS3_H_

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {

class Idefics3Processor {
 public:
  static constexpr const char* kProcessorNames[] = {"Idefics3Processor", "SmolVLMProcessor"};

  Idefics3Processor(const Config& config, const Assets& assets)
      : Idefics3Processor(config, assets, ImageProcessorConfig(assets)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, kImage, image_token_id_, structural_}};
  }

  // grid_h and grid_w: rows and columns of tiles; 0: the whole image alone.
  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    const auto [height, width] = SplitSize(FirstSize(media.height, media.width));
    keel_media_count count{};
    count.grid_t = 1;
    if (height > tile_ || width > tile_)
      count.grid_h = height / tile_, count.grid_w = width / tile_;
    count.patches = count.grid_h * count.grid_w + 1;
    count.features = count.patches * image_seq_len_;
    // The tokenizer says how many newlines are a token.
    const auto around = static_cast<int64_t>(assets_.Encode(Text(count, "")).size());
    count.tokens = count.features + around;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    int64_t tiles = 0;
    for (const keel_media& item : items) tiles += Count(item).patches;
    float* out = inputs.F32("pixel_values", {tiles, 3, tile_, tile_}).data();
    for (const keel_media& item : items) {
      Pixels pixels = PixelsOf(item);
      const auto resize = [&](std::pair<int64_t, int64_t> size) {
        pixels = Resize(assets_, std::move(pixels), settings_.resample, size.first, size.second);
      };
      const auto first = FirstSize(pixels.height, pixels.width);
      resize(first);
      resize(SplitSize(first));
      if (pixels.height > tile_ || pixels.width > tile_) {
        for (int64_t top = 0; top < pixels.height; top += tile_) {
          for (int64_t left = 0; left < pixels.width; left += tile_)
            out = settings_.Normalize(pixels, top, left, tile_, tile_, out);
        }
        resize({tile_, tile_});
      }
      out = settings_.Normalize(pixels, 0, 0, tile_, tile_, out);
    }
    const std::vector<int32_t> borders = TileBorders(tiles, rows_);
    std::copy(borders.begin(), borders.end(), inputs.I32("segments", {tiles + 1}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return Text(item, Repeated(kImage, image_seq_len_));
  }

 private:
  static constexpr const char* kImage = "<image>";
  static constexpr const char* kFake = "<fake_token_around_image>";
  static constexpr int64_t kMostSide = 4096;
  using Size = std::pair<int64_t, int64_t>;  // height, width

  Idefics3Processor(const Config& config, const Assets& assets, const std::optional<Config>& images)
      : assets_(assets), settings_(images, Defaults()), image_token_id_(assets.TokenId(kImage)) {
    const VitConfig vision(config.Object("vision_config"),
                           {.hidden_size = 1152, .num_attention_heads = 16, .patch_size = 32});
    const int64_t factor = std::max<int64_t>(config.Int("scale_factor", 2), 1);
    rows_ = vision.patches;
    image_seq_len_ = vision.patches / (factor * factor);
    if (images) {
      longest_edge_ = images->Int("size/longest_edge", longest_edge_);
      tile_ = images->Int("max_image_size/longest_edge", tile_);
      splits_ = images->Bool("do_image_splitting", true);
    }
    const Config c = images.value_or(config);
    longest_edge_ = CheckedSide(c, "size/longest_edge", longest_edge_);
    if (tile_ != vision.image_size) {
      c.Fail("max_image_size/longest_edge", "is " + std::to_string(tile_) +
                                                ", expected the image_size of vision_config, " +
                                                std::to_string(vision.image_size));
      tile_ = vision.image_size;
    }
    if (const auto whole = assets.Json("processor_config.json")) {
      if (whole->Int("image_seq_len", image_seq_len_) != image_seq_len_)
        whole->Fail("image_seq_len", "is not " + std::to_string(image_seq_len_) +
                                         ", the features of a tile by config.json");
    }
    // All that the text around tiles is made of.
    keel_media_count most{};
    most.grid_h = most.grid_w = (std::min(longest_edge_, kMostSide) + tile_ - 1) / tile_;
    std::set<int64_t> ids;
    for (const int64_t side : {int64_t{0}, most.grid_h}) {
      most.grid_h = most.grid_w = std::min<int64_t>(side, 64);
      for (const int64_t id : assets.Encode(Text(most, ""))) ids.insert(id);
    }
    structural_.assign(ids.begin(), ids.end());
  }

  static ImageSettings Defaults() {
    ImageSettings settings = ImageSettings::Siglip();
    settings.resample = KEEL_RESAMPLE_LANCZOS;
    return settings;
  }

  // Truncated, as Python's int().
  static int64_t Truncated(double x) { return static_cast<int64_t>(x); }

  // The longest side becomes longest_edge, the other one even; neither more than kMostSide.
  Size FirstSize(int64_t height, int64_t width) const {
    double aspect = static_cast<double>(width) / static_cast<double>(height);
    if (width >= height) {
      width = longest_edge_;
      height = Truncated(static_cast<double>(width) / aspect);
      height += height % 2;
    } else {
      height = longest_edge_;
      width = Truncated(static_cast<double>(height) * aspect);
      width += width % 2;
    }
    height = std::max<int64_t>(height, 1), width = std::max<int64_t>(width, 1);
    aspect = static_cast<double>(width) / static_cast<double>(height);
    if (width >= height && width > kMostSide) {
      width = kMostSide;
      height = Truncated(static_cast<double>(width) / aspect);
    } else if (height > width && height > kMostSide) {
      height = kMostSide;
      width = Truncated(static_cast<double>(height) * aspect);
    }
    return {std::max<int64_t>(height, 1), std::max<int64_t>(width, 1)};
  }

  // Whole tiles each way.
  Size SplitSize(Size size) const {
    if (!splits_) return {tile_, tile_};
    const auto whole = [&](int64_t side) { return (side + tile_ - 1) / tile_ * tile_; };
    auto [height, width] = size;
    const double aspect = static_cast<double>(width) / static_cast<double>(height);
    if (width >= height) {
      width = whole(width);
      height = whole(Truncated(static_cast<double>(width) / aspect));
    } else {
      height = whole(height);
      width = whole(Truncated(static_cast<double>(height) * aspect));
    }
    return {height, width};
  }

  // `image`: the placeholders of a tile.
  static std::string Text(const keel_media_count& item, const std::string& image) {
    std::string text;
    for (int64_t row = 1; row <= item.grid_h; ++row) {
      for (int64_t column = 1; column <= item.grid_w; ++column) {
        text += kFake;
        text += "<row_" + std::to_string(row) + "_col_" + std::to_string(column) + ">" + image;
      }
      text += "\n";
    }
    if (item.grid_h > 0) text += "\n";
    return text + kFake + "<global-img>" + image + kFake;
  }

  const Assets assets_;
  const ImageSettings settings_;
  const int64_t image_token_id_;
  std::vector<int64_t> structural_;
  int64_t longest_edge_ = 4 * 364, tile_ = 364, image_seq_len_ = 169, rows_ = 0;
  bool splits_ = true;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_IDEFICS3_PROCESSING_IDEFICS3_H_

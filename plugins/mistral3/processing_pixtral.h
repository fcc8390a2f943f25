// The processor of Pixtral and Mistral 3, as in transformers' processing_pixtral.py and image_processing_pixtral.py: an image
// keeps its aspect; each of its rows of tokens ends with one that says so.
#ifndef KEEL_PLUGINS_MISTRAL3_PROCESSING_PIXTRAL_H_
#define KEEL_PLUGINS_MISTRAL3_PROCESSING_PIXTRAL_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/plugin.h"

namespace keel {

class PixtralProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"PixtralProcessor"};

  PixtralProcessor(const Config& config, const Assets& assets)
      : PixtralProcessor(config, assets, ImageProcessorConfig(assets)) {}

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE,
             image_token_,
             assets_.TokenId(image_token_),
             {assets_.TokenId(break_token_), assets_.TokenId(end_token_)}}};
  }

  // grid_h and grid_w: of tokens, each of merge_size x merge_size patches.
  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    const double h = static_cast<double>(media.height), w = static_cast<double>(media.width),
                 most = static_cast<double>(longest_edge_);
    const double ratio = std::max({h / most, w / most, 1.0});
    const auto tokens = [&](double side) {
      return (static_cast<int64_t>(std::floor(side / ratio)) + unit() - 1) / unit();
    };
    keel_media_count count{};
    count.grid_t = 1;
    count.grid_h = tokens(h);
    count.grid_w = tokens(w);
    if (count.grid_h < 1 || count.grid_w < 1)
      throw Error("an image is " + std::to_string(media.height) + "x" +
                  std::to_string(media.width) + ", of which nothing is left at a longest edge of " +
                  std::to_string(longest_edge_));
    count.features = count.grid_h * count.grid_w;
    count.patches = count.features * merge_size_ * merge_size_;
    count.tokens = count.features + count.grid_h;
    return count;
  }

  // Patches token by token.
  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    std::vector<int64_t> rows, columns;
    std::vector<int32_t> borders = {0};
    int64_t patches = 0;
    for (const keel_media& item : items) patches += Count(item).patches;
    const int64_t p = patch_size_, m = merge_size_;
    float* out = inputs.F32("pixel_values", {patches, 3, p, p}).data();
    for (const keel_media& item : items) {
      const keel_media_count grid = Count(item);
      const Pixels pixels = Resize(assets_, PixelsOf(item), settings_.resample,
                                   grid.grid_h * unit(), grid.grid_w * unit());
      for (int64_t i = 0; i < grid.patches; ++i) {
        const int64_t token = i / (m * m), part = i % (m * m);
        rows.push_back(token / grid.grid_w * m + part / m);
        columns.push_back(token % grid.grid_w * m + part % m);
        out = settings_.Normalize(pixels, rows.back() * p, columns.back() * p, p, p, out);
      }
      borders.push_back(static_cast<int32_t>(rows.size()));
    }
    const std::span<int64_t> positions = inputs.I64("positions", {2, patches});
    std::copy(rows.begin(), rows.end(), positions.begin());
    std::copy(columns.begin(), columns.end(), positions.begin() + patches);
    std::copy(borders.begin(), borders.end(),
              inputs.I32("segments", {static_cast<int64_t>(borders.size())}).begin());
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    const std::string row = Repeated(image_token_, item.grid_w);
    return Repeated(row + break_token_, item.grid_h - 1) + row + end_token_;
  }

 private:
  PixtralProcessor(const Config& config, const Assets& assets, const std::optional<Config>& images)
      : assets_(assets), settings_(images, ImageSettings::Clip()) {
    patch_size_ = config.Int("vision_config/patch_size", 16);
    merge_size_ = config.Int("spatial_merge_size", 2);
    if (images) longest_edge_ = images->Int("size/longest_edge", longest_edge_);
    const Config c = images.value_or(config);
    longest_edge_ = CheckedSide(c, "size/longest_edge", longest_edge_);
    patch_size_ = CheckedSide(config, "vision_config/patch_size", patch_size_);
    merge_size_ = CheckedSide(config, "spatial_merge_size", merge_size_);
    if (const auto whole = assets.Json("processor_config.json")) {
      const auto is = [&](const char* key, int64_t expected, int64_t dflt) {
        if (whole->Has(key) && whole->Int(key, dflt) != expected)
          whole->Fail(key, "is not " + std::to_string(expected) + ", as config.json says it");
      };
      is("patch_size", patch_size_, 16);
      is("spatial_merge_size", merge_size_, 1);
      image_token_ = whole->String("image_token", "[IMG]");
      break_token_ = whole->String("image_break_token", "[IMG_BREAK]");
      end_token_ = whole->String("image_end_token", "[IMG_END]");
    }
    Tokens();  // fails now if the tokenizer lacks one
  }

  int64_t unit() const { return patch_size_ * merge_size_; }  // pixels of a token's side

  const Assets assets_;
  const ImageSettings settings_;
  std::string image_token_ = "[IMG]", break_token_ = "[IMG_BREAK]", end_token_ = "[IMG_END]";
  int64_t longest_edge_ = 1024, patch_size_ = 16, merge_size_ = 2;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_MISTRAL3_PROCESSING_PIXTRAL_H_

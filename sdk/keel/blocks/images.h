// What image processors have in common: their settings, and pixels resized, cropped and normalized as transformers does.
//
//   #include "sdk/keel/blocks/images.h"
//   using namespace keel;
//
//   // An image as a tower of one size takes it, [1, 3, size, size].
//   void Take(const Assets& assets, const keel_media& image, int64_t size, const TensorSink& inputs) {
//     const std::optional<Config> config = ImageProcessorConfig(assets);
//     const ImageSettings settings(config, ImageSettings::Siglip());
//     const Pixels pixels = Resize(assets, PixelsOf(image), settings.resample, size, size);
//     settings.Normalize(pixels, 0, 0, size, size, inputs.F32("pixel_values", {1, 3, size, size}).data());
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_IMAGES_H_
#define KEEL_SDK_KEEL_BLOCKS_IMAGES_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/processor.h"

namespace keel {

// RGB8, rows of `width` pixels.
struct Pixels {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> bytes = {};

  const uint8_t* at(int64_t y, int64_t x) const { return bytes.data() + (y * width + x) * 3; }
};

// A copy of an image, or of frame `index` of a video (its last one for those behind it).
inline Pixels PixelsOf(const keel_media& item, int64_t index = 0) {
  const keel_dl_tensor& data = *item.data;
  const int first = data.ndim - 3;  // frames come before height
  if (first != 0 && first != 1) throw Error("an image or video has the wrong number of dimensions");
  const int64_t *shape = data.shape + first, *strides = data.strides + first;
  const auto* from = static_cast<const uint8_t*>(data.data) + data.byte_offset;
  if (first == 1) from += std::min(index, data.shape[0] - 1) * data.strides[0];
  Pixels out{shape[0], shape[1],
             std::vector<uint8_t>(static_cast<size_t>(shape[0] * shape[1] * 3))};
  uint8_t* to = out.bytes.data();
  for (int64_t y = 0; y < out.height; ++y) {
    for (int64_t x = 0; x < out.width; ++x) {
      for (int64_t c = 0; c < 3; ++c)
        *to++ = from[y * strides[0] + x * strides[1] + c * strides[2]];
    }
  }
  return out;
}

// `resample`: KEEL_RESAMPLE_*. An image of that size stays as it is.
inline Pixels Resize(const Assets& assets, Pixels image, uint32_t resample, int64_t height,
                     int64_t width) {
  if (image.height == height && image.width == width) return image;
  int64_t shape[] = {image.height, image.width, 3}, strides[] = {image.width * 3, 3, 1};
  keel_dl_tensor view{};
  view.data = image.bytes.data();
  view.device = {1, 0};
  view.ndim = 3;
  view.dtype = {1, 8, 1};
  view.shape = shape;
  view.strides = strides;
  return {height, width, assets.Resize(view, resample, height, width)};
}

// A part of an image that lies within it.
inline Pixels Crop(const Pixels& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  Pixels out{height, width, {}};
  for (int64_t y = top; y < top + height; ++y)
    out.bytes.insert(out.bytes.end(), image.at(y, left), image.at(y, left) + width * 3);
  return out;
}

// The middle of an image, black where it is smaller.
inline Pixels CenterCrop(const Pixels& image, int64_t height, int64_t width) {
  if (image.height == height && image.width == width) return image;
  Pixels out{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  // Where its first pixel is in the image, or the image's first in it.
  const auto offset = [](int64_t from, int64_t to) {
    return from >= to ? (from - to) / 2 : -((to - from) / 2);
  };
  const int64_t top = offset(image.height, height), left = offset(image.width, width);
  const int64_t first = std::max<int64_t>(0, -left),
                columns = std::min(width - first, image.width - (left + first));
  for (int64_t y = std::max<int64_t>(0, -top); y < height && y + top < image.height; ++y) {
    std::copy_n(image.at(y + top, left + first), columns * 3,
                out.bytes.data() + (y * width + first) * 3);
  }
  return out;
}

// The settings of the image processor, wherever the checkpoint has them.
inline std::optional<Config> ImageProcessorConfig(const Assets& assets) {
  if (const auto whole = assets.Json("processor_config.json")) {
    if (whole->IsObject("image_processor")) return whole->Child("image_processor");
  }
  return assets.Json("preprocessor_config.json");
}

// Those of the video processor; those of images where the checkpoint has none of its own, as in transformers.
inline std::optional<Config> VideoProcessorConfig(const Assets& assets) {
  if (const auto whole = assets.Json("processor_config.json")) {
    if (whole->IsObject("video_processor")) return whole->Child("video_processor");
  }
  const std::optional<Config> own = assets.Json("video_preprocessor_config.json");
  return own ? own : assets.Json("preprocessor_config.json");
}

// Sides of `size` or `crop_size`: a number, or an object of them.
inline std::pair<int64_t, int64_t> HeightAndWidth(const Config& c, const std::string& key,
                                                  int64_t height, int64_t width) {
  if (c.IsObject(key.c_str()))
    return {c.Int((key + "/height").c_str(), height), c.Int((key + "/width").c_str(), width)};
  return {c.Int(key.c_str(), height), c.Int(key.c_str(), width)};
}

// Checks a side that memory is made of; one that can't be is an error, and taken for 1.
inline int64_t CheckedSide(const Config& c, const char* key, int64_t side) {
  constexpr int64_t kMost = 1 << 15;
  if (side >= 1 && side <= kMost) return side;
  c.Fail(key, "is " + std::to_string(side) + ", expected 1 to " + std::to_string(kMost));
  return 1;
}

struct ImageSettings {
  uint32_t resample = KEEL_RESAMPLE_BICUBIC;
  std::array<double, 3> mean = {}, std = {};
  double rescale_factor = 1.0 / 255;

  // What the families' processors have where their file says nothing.
  static ImageSettings Clip() {
    return {KEEL_RESAMPLE_BICUBIC,
            {0.48145466, 0.4578275, 0.40821073},
            {0.26862954, 0.26130258, 0.27577711}};
  }
  static ImageSettings Siglip() {
    return {KEEL_RESAMPLE_BICUBIC, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
  }
  static ImageSettings ImageNet() {
    return {KEEL_RESAMPLE_BICUBIC, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
  }

  ImageSettings(uint32_t filter, std::array<double, 3> means, std::array<double, 3> stds)
      : resample(filter), mean(means), std(stds) {}
  ImageSettings(const std::optional<Config>& config, const ImageSettings& defaults)
      : ImageSettings(defaults) {
    if (!config) return;
    const Config& c = *config;
    resample = static_cast<uint32_t>(c.Int("resample", resample));
    rescale_factor = c.Bool("do_rescale", true) ? c.Real("rescale_factor", rescale_factor) : 1;
    for (size_t i = 0; i < 3; ++i) {
      const std::string at = "/" + std::to_string(i);
      mean[i] = c.Real(("image_mean" + at).c_str(), mean[i]);
      std[i] = c.Real(("image_std" + at).c_str(), std[i]);
    }
    if (!c.Bool("do_normalize", true)) mean = {0, 0, 0}, std = {1, 1, 1};
    if (!c.Bool("do_resize", true)) c.Fail("do_resize", "is false, expected true");
  }

  double operator()(uint8_t value, int64_t channel) const {
    const auto c = static_cast<size_t>(channel);
    return (value * rescale_factor - mean[c]) / std[c];
  }

  // A part of an image as [3, height, width] at `out`; returns the end.
  float* Normalize(const Pixels& image, int64_t top, int64_t left, int64_t height, int64_t width,
                   float* out) const {
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        const uint8_t* row = image.at(top + y, left) + c;
        for (int64_t x = 0; x < width; ++x) *out++ = static_cast<float>((*this)(row[x * 3], c));
      }
    }
    return out;
  }
};

// `token`, n times.
inline std::string Repeated(const std::string& token, int64_t n) {
  std::string text;
  for (int64_t i = 0; i < n; ++i) text += token;
  return text;
}

// Refuses what is no image.
inline void CheckIsImage(const keel_media& media) {
  if (media.modality != KEEL_MODALITY_IMAGE)
    throw Error("modality " + std::to_string(media.modality) + ", expected an image");
  if (media.height < 1 || media.width < 1)
    throw Error("an image is " + std::to_string(media.height) + "x" + std::to_string(media.width) +
                ", expected at least 1x1");
}

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_IMAGES_H_

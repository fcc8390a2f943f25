// The size that an image or a video of any size gets, as transformers' smart_resize says it for Qwen-VL's line.
//
//   #include "sdk/keel/blocks/smart_resize.h"
//   using namespace keel;
//
//   // Cells of 28x28 pixels that an image is cut into, 4 to 1280.
//   int64_t CellsOf(const keel_media& image) {
//     const auto [height, width] = SmartResize(image.height, image.width, 28, 4 * 28 * 28, 1280 * 28 * 28);
//     return height / 28 * (width / 28);
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_SMART_RESIZE_H_
#define KEEL_SDK_KEEL_BLOCKS_SMART_RESIZE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "sdk/keel/processor.h"

namespace keel {

// The size (height, width) nearest to an image's, in whole multiples of `factor`, with its aspect and with a number of
// pixels, in `frames` together, within the limits. Whether they are is told by the nearest whole steps of frames.
inline std::pair<int64_t, int64_t> SmartResize(int64_t height, int64_t width, int64_t factor,
                                               int64_t min_pixels, int64_t max_pixels,
                                               int64_t frames = 1, int64_t step = 1) {
  const std::string size = std::to_string(height) + "x" + std::to_string(width);
  if (height < 1 || width < 1) throw Error("an image is " + size + ", expected at least 1x1");
  if (std::max(height, width) > 200 * std::min(height, width))
    throw Error("an image is " + size + ", expected an aspect ratio of at most 200");
  if (frames < step)
    throw Error("a video has " + std::to_string(frames) + " frames, expected at least " +
                std::to_string(step));
  const double h = static_cast<double>(height), w = static_cast<double>(width),
               f = static_cast<double>(factor), n_frames = static_cast<double>(frames);
  const auto multiple = [&](double n) { return static_cast<int64_t>(n) * factor; };
  // Halves go to the even number, as in Python's round.
  const int64_t h_bar = multiple(std::nearbyint(h / f)), w_bar = multiple(std::nearbyint(w / f));
  const int64_t t_bar =
      static_cast<int64_t>(std::nearbyint(n_frames / static_cast<double>(step))) * step;
  if (t_bar * h_bar * w_bar > max_pixels) {
    const double beta = std::sqrt(n_frames * h * w / static_cast<double>(max_pixels));
    return {std::max(factor, multiple(std::floor(h / beta / f))),
            std::max(factor, multiple(std::floor(w / beta / f)))};
  }
  if (t_bar * h_bar * w_bar < min_pixels) {
    const double beta = std::sqrt(static_cast<double>(min_pixels) / (n_frames * h * w));
    return {multiple(std::ceil(h * beta / f)), multiple(std::ceil(w * beta / f))};
  }
  return {h_bar, w_bar};
}

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_SMART_RESIZE_H_

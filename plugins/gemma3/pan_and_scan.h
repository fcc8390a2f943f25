// Gemma 3's pan and scan, as in transformers' image_processing_gemma3.py: beside the whole of a long image its parts, one
// behind the other along its longer side.
#ifndef KEEL_PLUGINS_GEMMA3_PAN_AND_SCAN_H_
#define KEEL_PLUGINS_GEMMA3_PAN_AND_SCAN_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/config.h"

namespace keel {

struct PanAndScan {
  struct Part {
    int64_t top, left, height, width;
  };

  bool is_on = false;
  int64_t min_crop_size = 256, max_num_crops = 4;
  double min_ratio_to_activate = 1.2;

  // What `c`, the processor's settings or a request's, says otherwise.
  PanAndScan With(const Config& c) const {
    PanAndScan out;
    out.is_on = c.Bool("do_pan_and_scan", is_on);
    out.min_crop_size = AtLeastOne(c, "pan_and_scan_min_crop_size", min_crop_size);
    out.max_num_crops = AtLeastOne(c, "pan_and_scan_max_num_crops", max_num_crops);
    out.min_ratio_to_activate = c.Real("pan_and_scan_min_ratio_to_activate", min_ratio_to_activate);
    return out;
  }

  // Of an image of this size, besides the whole.
  std::vector<Part> PartsOf(int64_t height, int64_t width) const {
    const int64_t longer = std::max(height, width), shorter = std::min(height, width);
    const double ratio = static_cast<double>(longer) / static_cast<double>(shorter);
    if (!is_on || ratio < min_ratio_to_activate) return {};
    const auto wanted = static_cast<int64_t>(std::floor(ratio + 0.5));
    const int64_t number =
        std::min(max_num_crops, std::max<int64_t>(2, std::min(longer / min_crop_size, wanted)));
    const int64_t size = (longer + number - 1) / number;
    if (std::min(size, shorter) < min_crop_size) return {};
    if (size * (number - 1) >= longer)
      throw Error("an image is " + std::to_string(height) + "x" + std::to_string(width) +
                  ", too small for " + std::to_string(number) +
                  " parts; raise pan_and_scan_min_crop_size");
    std::vector<Part> parts;
    for (int64_t at = 0; at < longer; at += size) {
      const int64_t length = std::min(size, longer - at);
      parts.push_back(width >= height ? Part{0, at, height, length} : Part{at, 0, length, width});
    }
    return parts;
  }

 private:
  static int64_t AtLeastOne(const Config& c, const char* key, int64_t dflt) {
    const int64_t n = c.Int(key, dflt);
    if (n >= 1) return n;
    c.Fail(key, "is " + std::to_string(n) + ", expected at least 1");
    return 1;
  }
};

}  // namespace keel

#endif  // KEEL_PLUGINS_GEMMA3_PAN_AND_SCAN_H_

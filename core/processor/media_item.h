// One item of a request's media, as it was decoded.
#ifndef KEEL_CORE_PROCESSOR_MEDIA_ITEM_H_
#define KEEL_CORE_PROCESSOR_MEDIA_ITEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

struct MediaItem {
  uint32_t modality = KEEL_MODALITY_IMAGE;
  int64_t height = 0, width = 0;
  int64_t length = 1;          // frames, 1 of an image; samples of audio
  double rate = 0;             // frames or samples a second; 0: not known
  std::vector<uint8_t> rgb;    // [height, width, 3] or [length, height, width, 3]
  std::vector<float> samples;  // [length]
};

// "image", "video", "audio".
inline const char* ModalityName(uint32_t modality) {
  return modality == KEEL_MODALITY_IMAGE   ? "image"
         : modality == KEEL_MODALITY_VIDEO ? "video"
         : modality == KEEL_MODALITY_AUDIO ? "audio"
                                           : "text";
}

// INVALID_ARGUMENT: sizes that are no sizes.
absl::Status CheckMediaSizes(const MediaItem& item);
// The same, or data of another size.
absl::Status CheckMediaItem(const MediaItem& item);

// What stands for its content, and for what a processor makes of it by `options`, where contents are compared.
std::string MediaHash(const MediaItem& item, absl::string_view options);

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_MEDIA_ITEM_H_

// One item of media: what an image, a video or a sound is once its file format is gone.
#ifndef KEEL_CORE_MEDIA_MEDIA_ITEM_H_
#define KEEL_CORE_MEDIA_MEDIA_ITEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

struct MediaItem {
  uint32_t modality = KEEL_MODALITY_IMAGE;
  int64_t height = 0, width = 0;  // upright: the orientation that a camera noted has been applied
  int64_t length = 1;             // frames, 1 of an image; samples of audio
  double rate = 0;  // samples a second; frames a second of the clip, on average; 0: not known
  std::vector<uint8_t> rgb =
      {};  // [height, width, 3] or [length, height, width, 3], sRGB, no alpha
  std::vector<float> samples = {};  // [length], one channel, the mean of all; 1 is full scale

  // Of a video whose frames were taken out of a clip.
  std::vector<int64_t> indices = {};  // [length], ascending: which frame of the clip each one is
  std::vector<double> seconds = {};   // [length]: when it is shown; the clip's first frame at 0
  int64_t total_frames = 0;           // of the clip
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

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_MEDIA_ITEM_H_

#include "core/media/media_item.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

// Spectra of louder ones, and of what is no number, are not finite.
absl::Status CheckLoudness(const std::vector<float>& samples) {
  constexpr float kMost = 1 << 24;
  for (const float sample : samples) {
    if (std::abs(sample) <= kMost) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "audio has a sample of ", sample, ", expected at most ", kMost, ", 1 being full scale"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMediaSizes(const MediaItem& item) {
  constexpr int64_t kMaxSide = 1 << 20, kMaxBytes = int64_t{1} << 31;
  if (item.modality == KEEL_MODALITY_AUDIO) {
    if (item.length >= 1 && item.length <= kMaxBytes) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("audio of ", item.length, " samples, expected 1 to ", kMaxBytes));
  }
  if (item.modality != KEEL_MODALITY_IMAGE && item.modality != KEEL_MODALITY_VIDEO)
    return absl::InvalidArgumentError(
        absl::StrCat("modality ", item.modality, ", expected an image, a video or audio"));
  const int64_t max_length = item.modality == KEEL_MODALITY_IMAGE ? 1 : kMaxBytes;
  const bool fits = item.height >= 1 && item.width >= 1 && item.height <= kMaxSide &&
                    item.width <= kMaxSide && item.length >= 1 && item.length <= max_length &&
                    item.length <= kMaxBytes / (item.height * item.width * 3);
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      ModalityName(item.modality), " of ", item.height, "x", item.width, " pixels and ",
      item.length, " frames, expected at least 1x1, at most ", kMaxBytes, " bytes in all"));
}

absl::Status CheckMediaItem(const MediaItem& item) {
  KEEL_RETURN_IF_ERROR(CheckMediaSizes(item));
  const bool is_audio = item.modality == KEEL_MODALITY_AUDIO;
  const auto given = static_cast<int64_t>(is_audio ? item.samples.size() : item.rgb.size());
  const int64_t expected = is_audio ? item.length : item.length * item.height * item.width * 3;
  if (given == expected) return CheckLoudness(item.samples);
  const std::string size = is_audio ? absl::StrCat(item.length, " samples")
                                    : absl::StrCat(item.height, "x", item.width, " pixels");
  return absl::InvalidArgumentError(absl::StrCat(ModalityName(item.modality), " of ", size, " has ",
                                                 given, is_audio ? "" : " bytes", ", expected ",
                                                 expected));
}

}  // namespace keel

// The decoders of single formats. `bytes` begin as the format does; beyond that they are untrusted.
#ifndef KEEL_CORE_MEDIA_IMAGE_FORMATS_H_
#define KEEL_CORE_MEDIA_IMAGE_FORMATS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/media/media_item.h"

namespace keel {

// As stored, with what may say how it is to be turned (orientation.h).
struct StoredImage {
  MediaItem image;
  std::string exif;  // a TIFF structure, perhaps after "Exif\0\0"; "": none
  std::string xmp;   // XML; "": none
};

absl::StatusOr<StoredImage> DecodePng(absl::string_view bytes, int64_t max_pixels);
absl::StatusOr<StoredImage> DecodeJpeg(absl::string_view bytes, int64_t max_pixels);
absl::StatusOr<StoredImage> DecodeWebp(absl::string_view bytes, int64_t max_pixels);
absl::StatusOr<StoredImage> DecodeGif(absl::string_view bytes, int64_t max_pixels);

// Before memory is taken for pixels: kInvalidArgument for an empty image, kResourceExhausted for one
// that is too large.
absl::Status CheckSize(int64_t width, int64_t height, int64_t max_pixels);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_IMAGE_FORMATS_H_

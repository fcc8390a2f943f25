#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/media/decode.h"
#include "core/media/image_formats.h"
#include "core/media/orientation.h"

namespace keel {
namespace {

struct ImageFormat {
  const char* name;
  bool (*begins)(absl::string_view bytes);
  absl::StatusOr<StoredImage> (*decode)(absl::string_view bytes, int64_t max_pixels);
};

constexpr ImageFormat kFormats[] = {
    {"PNG", [](absl::string_view bytes) { return absl::StartsWith(bytes, "\x89PNG\r\n\x1a\n"); },
     DecodePng},
    {"JPEG", [](absl::string_view bytes) { return absl::StartsWith(bytes, "\xff\xd8\xff"); },
     DecodeJpeg},
    {"WebP",
     [](absl::string_view bytes) {
       return bytes.size() >= 12 && absl::StartsWith(bytes, "RIFF") && bytes.substr(8, 4) == "WEBP";
     },
     DecodeWebp},
    {"GIF", [](absl::string_view bytes) { return absl::StartsWith(bytes, "GIF8"); }, DecodeGif},
};

}  // namespace

absl::Status CheckSize(int64_t width, int64_t height, int64_t max_pixels) {
  if (width < 1 || height < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is ", width, " x ", height, " pixels, expected at least 1 x 1"));
  }
  if (width <= max_pixels / height) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("it is ", width, " x ", height,
                                                   " pixels, expected at most ", max_pixels,
                                                   " in all; send a smaller one"));
}

absl::StatusOr<MediaItem> DecodeImage(absl::string_view bytes, const ImageOptions& options) {
  constexpr absl::string_view kWhat = "is no image that can be decoded";
  for (const ImageFormat& format : kFormats) {
    if (!format.begins(bytes)) continue;
    absl::StatusOr<StoredImage> stored = format.decode(bytes, options.max_pixels);
    if (!stored.ok()) return Annotate(stored.status(), absl::StrCat(kWhat, ": ", format.name));
    const int orientation = OrientationOf(stored->exif, stored->xmp);
    return Upright(std::move(stored->image), orientation);
  }
  if (bytes.empty()) return absl::InvalidArgumentError(absl::StrCat(kWhat, ": it is empty"));
  return absl::InvalidArgumentError(absl::StrCat(kWhat, ": it begins with ",
                                                 absl::BytesToHexString(bytes.substr(0, 8)),
                                                 ", as no PNG, JPEG, WebP or GIF does"));
}

}  // namespace keel

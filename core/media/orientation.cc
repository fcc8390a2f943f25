#include "core/media/orientation.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace keel {
namespace {

constexpr int kUpright = 1;
constexpr uint16_t kOrientationTag = 0x0112;
constexpr size_t kEntryBytes = 12;

// A TIFF structure; what lies outside of it reads as nothing.
class Tiff {
 public:
  explicit Tiff(absl::string_view bytes) : bytes_(bytes) {
    little_ = absl::StartsWith(bytes, absl::string_view("II*\0", 4));
    valid_ = little_ || absl::StartsWith(bytes, absl::string_view("MM\0*", 4));
  }

  // The value of a tag in the first directory, if it is one whole number.
  std::optional<uint32_t> Find(uint16_t tag) const {
    if (!valid_) return std::nullopt;
    const std::optional<uint32_t> directory = Number(4, 4);
    if (!directory) return std::nullopt;
    const std::optional<uint32_t> entries = Number(*directory, 2);
    if (!entries) return std::nullopt;
    for (size_t i = 0; i < *entries; ++i) {
      const size_t entry = size_t{*directory} + 2 + i * kEntryBytes;
      const std::optional<uint32_t> found = Number(entry, 2);
      if (!found) return std::nullopt;
      if (*found == tag) return Value(entry);
    }
    return std::nullopt;
  }

 private:
  std::optional<uint32_t> Value(size_t entry) const {
    constexpr uint32_t kByte = 1, kShort = 3, kLong = 4;
    const std::optional<uint32_t> type = Number(entry + 2, 2), count = Number(entry + 4, 4);
    if (!type || count != 1) return std::nullopt;
    switch (*type) {
      case kByte:
        return Number(entry + 8, 1);
      case kShort:
        return Number(entry + 8, 2);
      case kLong:
        return Number(entry + 8, 4);
      default:
        return std::nullopt;
    }
  }

  std::optional<uint32_t> Number(size_t at, size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) return std::nullopt;
    uint32_t number = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t shift = 8 * (little_ ? i : size - 1 - i);
      number |= uint32_t{static_cast<uint8_t>(bytes_[at + i])} << shift;
    }
    return number;
  }

  absl::string_view bytes_;
  bool little_ = false, valid_ = false;
};

std::optional<uint32_t> InXmp(absl::string_view xmp) {
  constexpr absl::string_view kName = "tiff:Orientation";
  for (size_t at = xmp.find(kName); at != xmp.npos; at = xmp.find(kName, at + 1)) {
    absl::string_view rest = xmp.substr(at + kName.size());
    const bool value = absl::ConsumePrefix(&rest, "=\"") || absl::ConsumePrefix(&rest, ">");
    if (value && !rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

// Where pixel (y, x) of the upright image is stored, in an image of `height` rows by `width`.
struct Place {
  int y, x;
};
Place Stored(int orientation, int height, int width, int y, int x) {
  switch (orientation) {
    case 2:
      return {y, width - 1 - x};
    case 3:
      return {height - 1 - y, width - 1 - x};
    case 4:
      return {height - 1 - y, x};
    case 5:
      return {x, y};
    case 6:
      return {height - 1 - x, y};
    case 7:
      return {height - 1 - x, width - 1 - y};
    default:
      return {x, width - 1 - y};
  }
}

}  // namespace

int OrientationOf(absl::string_view exif, absl::string_view xmp) {
  absl::ConsumePrefix(&exif, absl::string_view("Exif\0\0", 6));
  std::optional<uint32_t> found = Tiff(exif).Find(kOrientationTag);
  if (!found) found = InXmp(xmp);
  return found && *found >= 1 && *found <= 8 ? static_cast<int>(*found) : kUpright;
}

MediaItem Upright(MediaItem image, int orientation) {
  if (orientation == kUpright) return image;
  MediaItem upright = {.height = image.height, .width = image.width};
  upright.rgb.resize(image.rgb.size());
  if (orientation >= 5) std::swap(upright.height, upright.width);
  uint8_t* to = upright.rgb.data();
  const auto height = static_cast<int>(image.height), width = static_cast<int>(image.width);
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x, to += 3) {
      const Place from = Stored(orientation, height, width, y, x);
      std::memcpy(to, image.rgb.data() + (size_t{3} * from.y) * image.width + size_t{3} * from.x,
                  3);
    }
  }
  return upright;
}

}  // namespace keel

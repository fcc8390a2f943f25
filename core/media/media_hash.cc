#include "core/media/media_hash.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/sha256.h"

namespace keel {

std::string MediaHash(const MediaItem& item, absl::string_view options) {
  const auto digest = [](const void* data, size_t bytes) {
    return Sha256Hex({static_cast<const uint8_t*>(data), bytes});
  };
  const std::string content =
      absl::StrCat(item.modality, " ", item.length, " ", item.height, " ", item.width, " ",
                   item.rate, " ", item.total_frames, " ", absl::StrJoin(item.indices, ","), " ",
                   digest(item.rgb.data(), item.rgb.size()), " ",
                   digest(item.samples.data(), item.samples.size() * sizeof(float)), " ", options);
  return digest(content.data(), content.size());
}

}  // namespace keel

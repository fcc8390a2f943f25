// An image, a video or a sound of a request, decoded or not.
#ifndef KEEL_CORE_ENGINE_MEDIA_INPUT_H_
#define KEEL_CORE_ENGINE_MEDIA_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/media/media_item.h"

namespace keel {

// Shared with whoever has them, as all contents are: requests are copied.
using MediaItems = std::vector<std::shared_ptr<const MediaItem>>;

struct MediaInput {
  struct File {
    std::shared_ptr<const std::string> bytes;  // in any format of docs/media.md
  };
  struct Url {
    std::shared_ptr<const std::string> url;  // of any kind of core/media/source.h
  };
  using Content = std::variant<std::shared_ptr<const MediaItem>, File, Url>;

  // One that is decoded.
  MediaInput(std::shared_ptr<const MediaItem> item)  // NOLINT: as any item
      : modality(item->modality), content(std::move(item)) {}
  MediaInput(uint32_t modality, Content content, std::string place)
      : modality(modality), content(std::move(content)), place(std::move(place)) {}

  // What errors call it, as the `index`-th of its request.
  std::string Name(size_t index) const {
    return place.empty() ? absl::StrCat("media ", index) : place;
  }

  uint32_t modality;  // KEEL_MODALITY_*
  Content content;
  std::string place;  // where the client has it: "messages[0].content[1]"; "": not known
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_MEDIA_INPUT_H_

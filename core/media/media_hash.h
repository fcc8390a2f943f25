// What stands for media where their contents are compared.
#ifndef KEEL_CORE_MEDIA_MEDIA_HASH_H_
#define KEEL_CORE_MEDIA_MEDIA_HASH_H_

#include <string>

#include "absl/strings/string_view.h"
#include "core/media/media_item.h"

namespace keel {

// Of its content, and of what a processor makes of it by `options`.
std::string MediaHash(const MediaItem& item, absl::string_view options);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_MEDIA_HASH_H_

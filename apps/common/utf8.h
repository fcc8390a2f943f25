// Text that comes from outside and goes into an answer, which is JSON and so UTF-8.
#ifndef KEEL_APPS_COMMON_UTF8_H_
#define KEEL_APPS_COMMON_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace keel::apps {

// The text with U+FFFD for what is no UTF-8.
std::string ToUtf8(std::string_view bytes);

// At most so many bytes of UTF-8, ending with a whole character.
std::string_view Beginning(std::string_view text, size_t most_bytes);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_UTF8_H_

#include "apps/common/utf8.h"

#include "boost/locale/utf.hpp"

namespace keel::apps {
namespace utf = boost::locale::utf;

std::string ToUtf8(std::string_view bytes) {
  std::string text;
  for (const char* at = bytes.data(); at != bytes.data() + bytes.size();) {
    const char* const begin = at;
    const utf::code_point code = utf::utf_traits<char>::decode(at, bytes.data() + bytes.size());
    if (code == utf::illegal || code == utf::incomplete) {
      text += "\uFFFD";
      at = begin + 1;
    } else {
      text.append(begin, at);
    }
  }
  return text;
}

std::string_view Beginning(std::string_view text, size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  size_t cut = most_bytes;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut);
}

}  // namespace keel::apps

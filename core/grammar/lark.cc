#include "core/grammar/lark.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace keel {

std::string LarkString(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04x", byte);
    } else {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

std::string LarkClass(absl::Span<const std::pair<char32_t, char32_t>> ranges, bool negated) {
  if (ranges.empty()) return "/(?s:.)/";
  std::string out = negated ? "/[^" : "/[";
  for (const auto& [first, last] : ranges) {
    absl::StrAppendFormat(&out, "\\x{%x}", static_cast<uint32_t>(first));
    if (last != first) absl::StrAppendFormat(&out, "-\\x{%x}", static_cast<uint32_t>(last));
  }
  out.append("]/");
  return out;
}

void AppendUtf8(char32_t c, std::string* out) {
  const auto tail = [&](int shift) {
    out->push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3f)));
  };
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | c >> 12));
    tail(6);
    tail(0);
  } else {
    out->push_back(static_cast<char>(0xf0 | c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace keel

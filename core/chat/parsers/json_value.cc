#include "core/chat/parsers/json_value.h"

#include "absl/strings/ascii.h"

namespace keel {

size_t JsonValueScanner::Add(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (done_) return i;
    const char c = text[i];
    if (in_string_) {
      const bool ends = c == '"' && !escaped_;
      escaped_ = c == '\\' && !escaped_;
      if (!ends) continue;
      in_string_ = false;
      done_ = depth_ == 0;
      continue;
    }
    const bool is_end = c == '}' || c == ']';
    if (depth_ == 0 && begun_ && (is_end || c == ',' || absl::ascii_isspace(c))) {
      done_ = true;  // of a number or a word
      return i;
    }
    begun_ = true;
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (is_end && depth_ > 0) {
      done_ = --depth_ == 0;
    }
  }
  return text.size();
}

}  // namespace keel

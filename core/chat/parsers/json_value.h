// Where a JSON value ends, as its text comes.
#ifndef KEEL_CORE_CHAT_PARSERS_JSON_VALUE_H_
#define KEEL_CORE_CHAT_PARSERS_JSON_VALUE_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace keel {

// Follows quotes and brackets, not the grammar: whoever reads the value parses it. Copyable.
class JsonValueScanner {
 public:
  // How much of `text` belongs to the value, which begins with the first byte that is given. An object, a
  // list or a string ends with its last byte; what is none of them before a comma, a bracket or a space.
  size_t Add(absl::string_view text);
  bool done() const { return done_; }

 private:
  size_t depth_ = 0;
  bool begun_ = false, done_ = false;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_JSON_VALUE_H_

// Pieces of Lark as llguidance reads it.
#ifndef KEEL_CORE_GRAMMAR_LARK_H_
#define KEEL_CORE_GRAMMAR_LARK_H_

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

// "text" in quotes, escaped. `text` is UTF-8.
std::string LarkString(absl::string_view text);

// /[a-z]/ or /[^a-z]/: one character of `ranges` (both ends belong to it), or of none.
std::string LarkClass(absl::Span<const std::pair<char32_t, char32_t>> ranges, bool negated);

// `c` in UTF-8.
void AppendUtf8(char32_t c, std::string* out);

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_LARK_H_

// Calls that a model writes as Python expressions.
#ifndef KEEL_CORE_CHAT_PARSERS_PYTHON_CALL_H_
#define KEEL_CORE_CHAT_PARSERS_PYTHON_CALL_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace keel {

// The arguments of a call, "city='Rome', days=3" (what stands between its parentheses), as a JSON object.
// Values are literals: texts, numbers, True, False, None, lists, tuples, dictionaries. Nothing if they are
// something else.
std::optional<std::string> PythonArgumentsJson(absl::string_view arguments);

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_PYTHON_CALL_H_

// The tools that a request names, as parsers and grammars look at them.
#ifndef KEEL_CORE_CHAT_PARSERS_TOOL_LIST_H_
#define KEEL_CORE_CHAT_PARSERS_TOOL_LIST_H_

#include <boost/json/object.hpp>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// Immutable.
class ToolList {
 public:
  // [{"type": "function", "function": {"name", "parameters": a JSON schema}}]; members of "function" may
  // stand outside of it. "" has none.
  static absl::StatusOr<ToolList> Parse(absl::string_view json);

  bool empty() const { return parameters_.empty(); }
  bool Has(absl::string_view name) const { return parameters_.contains(std::string(name)); }
  // The tool's schema says that this member is a string.
  bool IsString(absl::string_view name, absl::string_view parameter) const;

  // A JSON schema of the arguments of one tool. kInvalidArgument: there is none of that name.
  absl::StatusOr<std::string> ArgumentsSchema(absl::string_view name) const;
  // Of a list of calls, at least one and at most `most` (0: any number):
  // [{"name", "parameters"}, ...]
  std::string CallsSchema(int most) const;

 private:
  std::map<std::string, boost::json::object> parameters_;  // by name
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_TOOL_LIST_H_

#include "core/chat/parsers/pythonic_tools.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "core/chat/parsers/python_call.h"

namespace keel {
namespace {

using Kind = OutputPart::Kind;

constexpr absl::string_view kStart = "<|python_start|>", kEnd = "<|python_end|>";
constexpr size_t kMaxName = 128;

bool InName(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
}

}  // namespace

PythonicTools::PythonicTools(IsTool is_tool)
    : MarkedTools({kStart}, {kEnd}), is_tool_(std::move(is_tool)) {}

size_t PythonicTools::CallSize(absl::string_view text) {
  char quote = 0;
  size_t depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (absl::StrContains("([{", absl::string_view(&c, 1))) {
      ++depth;
    } else if (absl::StrContains(")]}", absl::string_view(&c, 1)) && depth > 0 && --depth == 0) {
      return i + 1;
    }
  }
  return 0;
}

// The list has ended, or it is none of calls.
void PythonicTools::Leave(std::vector<OutputPart>* parts) {
  if (!has_called_) Say(raw_, parts);
  raw_.clear();
  has_called_ = false;
  LeaveCalls();
}

bool PythonicTools::CallStep(std::vector<OutputPart>* parts) {
  const absl::string_view rest = scanner().rest();
  if (rest.empty()) return false;
  const char c = rest.front();
  const auto skip = [&] {
    raw_ += c;
    scanner().Take(1);
    return true;
  };
  if (absl::ascii_isspace(static_cast<unsigned char>(c))) return skip();
  if (raw_.find('[') == std::string::npos) {
    if (c == '[') return skip();
    Leave(parts);
    return true;
  }
  if (c == ',' && has_called_) return skip();
  if (c == ']') {
    if (!has_called_) {
      Leave(parts);
      return true;
    }
    scanner().Take(1);
    Leave(parts);
    return true;
  }
  size_t name = 0;
  while (name < rest.size() && InName(rest[name])) ++name;
  if (name == rest.size() && name <= kMaxName) return false;
  const absl::string_view tool = rest.substr(0, name);
  if (name == 0 || name > kMaxName || rest[name] != '(' || (is_tool_ && !is_tool_(tool))) {
    Leave(parts);
    return true;
  }
  const size_t size = CallSize(rest);
  if (size == 0) return false;
  const std::optional<std::string> arguments =
      PythonArgumentsJson(rest.substr(name + 1, size - name - 2));
  if (!arguments.has_value()) {
    Leave(parts);
    return true;
  }
  AddPart(Kind::kToolName, tool, parts);
  AddPart(Kind::kToolArguments, *arguments, parts);
  scanner().Take(size);
  has_called_ = true;
  return true;
}

void PythonicTools::EndCalls(std::vector<OutputPart>* parts) {
  if (has_called_) {
    scanner().Take(scanner().rest().size());  // a call that was cut
  } else {
    raw_.append(scanner().rest().data(), scanner().rest().size());
    scanner().Take(scanner().rest().size());
  }
  Leave(parts);
}

}  // namespace keel

#include "core/chat/parsers/tool_parser.h"

namespace keel {

void AddPart(OutputPart::Kind kind, absl::string_view text, std::vector<OutputPart>* parts) {
  if (kind == OutputPart::Kind::kToolName) {
    parts->push_back({kind, std::string(text)});
  } else if (text.empty()) {
    return;
  } else if (!parts->empty() && parts->back().kind == kind) {
    parts->back().text.append(text.data(), text.size());
  } else {
    parts->push_back({kind, std::string(text)});
  }
}

}  // namespace keel

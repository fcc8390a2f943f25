#include "core/chat/parsers/output_parser.h"

namespace keel {

void OutputParser::Answer(absl::string_view text, std::vector<OutputPart>* parts) {
  if (tools_ == nullptr) {
    AddPart(OutputPart::Kind::kText, text, parts);
  } else if (!text.empty()) {
    tools_->Add(text, parts);
  }
}

void OutputParser::Add(absl::string_view text, std::vector<OutputPart>* parts) {
  if (!reasoning_.has_value()) return Answer(text, parts);
  std::string answer;
  reasoning_->Add(text, parts, &answer);
  Answer(answer, parts);
}

bool OutputParser::is_reasoning() const {
  if (reasoning_.has_value() && reasoning_->is_within()) return true;
  return tools_ != nullptr && tools_->is_reasoning();
}

void OutputParser::Finish(std::vector<OutputPart>* parts) {
  if (reasoning_.has_value()) {
    std::string answer;
    reasoning_->Finish(parts, &answer);
    Answer(answer, parts);
  }
  if (tools_ != nullptr) tools_->Finish(parts);
}

}  // namespace keel

// The call of the one tool that a grammar makes a model call: its text is the arguments.
#ifndef KEEL_CORE_CHAT_PARSERS_FORCED_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_FORCED_TOOLS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/tool_parser.h"

namespace keel {

class NamedTool : public ToolParser {
 public:
  explicit NamedTool(std::string name) : name_(std::move(name)) {}

  void Add(absl::string_view text, std::vector<OutputPart>* parts) override {
    if (!std::exchange(begun_, true)) AddPart(OutputPart::Kind::kToolName, name_, parts);
    AddPart(OutputPart::Kind::kToolArguments, text, parts);
  }
  void Finish(std::vector<OutputPart>*) override {}
  std::unique_ptr<ToolParser> Clone() const override { return std::make_unique<NamedTool>(*this); }

 private:
  std::string name_;
  bool begun_ = false;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_FORCED_TOOLS_H_

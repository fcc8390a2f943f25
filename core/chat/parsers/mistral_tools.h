// Mistral's calls, of all its tokenizers:
//   [TOOL_CALLS] [{"name": "f", "arguments": {...}}]
//   [TOOL_CALLS]f{...}[TOOL_CALLS]g[ARGS]{...}       (also with [CALL_ID]xyz before [ARGS])
#ifndef KEEL_CORE_CHAT_PARSERS_MISTRAL_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_MISTRAL_TOOLS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/chat/parsers/json_tools.h"
#include "core/chat/parsers/marked_tools.h"

namespace keel {

class MistralTools : public MarkedTools {
 public:
  MistralTools() : MarkedTools({"[TOOL_CALLS]"}, {}) {}
  std::unique_ptr<ToolParser> Clone() const override {
    return std::make_unique<MistralTools>(*this);
  }

 private:
  enum class State { kBegin, kObjects, kName, kCallId, kArguments };

  bool CallStep(std::vector<OutputPart>* parts) override;
  void EndCalls(std::vector<OutputPart>* parts) override;
  bool ObjectStep(std::vector<OutputPart>* parts);
  void GiveName(std::vector<OutputPart>* parts);

  State state_ = State::kBegin;
  std::optional<JsonCall> call_;
  std::string name_;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_MISTRAL_TOOLS_H_

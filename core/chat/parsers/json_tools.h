// Calls as JSON objects after a marker: Hermes and Qwen, Llama 3, Granite, Phi-4.
#ifndef KEEL_CORE_CHAT_PARSERS_JSON_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_JSON_TOOLS_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/json_call.h"
#include "core/chat/parsers/marked_tools.h"

namespace keel {

struct JsonToolsFormat {
  // Static texts. After one of `begins` come objects, alone or in a list, with commas or semicolons
  // between them, and then maybe one of `ends`.
  std::vector<absl::string_view> begins, ends;
  // They may also come without a marker, first of all. What is no call of a known tool is text then.
  bool bare = false;
  bool bare_list = false;  // also a list of them
};

class JsonTools : public MarkedTools {
 public:
  // `is_tool` is asked of bare calls only.
  JsonTools(JsonToolsFormat format, JsonCall::IsTool is_tool)
      : MarkedTools(format.begins, format.ends),
        format_(std::move(format)),
        is_tool_(std::move(is_tool)) {}

  std::unique_ptr<ToolParser> Clone() const override { return std::make_unique<JsonTools>(*this); }

 private:
  bool CallStep(std::vector<OutputPart>* parts) override;
  void EndCalls(std::vector<OutputPart>* parts) override;
  bool BeginsBare(absl::string_view text) const override;
  void Settle(std::vector<OutputPart>* parts);

  JsonToolsFormat format_;
  JsonCall::IsTool is_tool_;
  std::optional<JsonCall> call_;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_JSON_TOOLS_H_

// Calls as a Python list, of Llama 3.2 and 4 and others: [weather(city='Rome', days=3), time()]
#ifndef KEEL_CORE_CHAT_PARSERS_PYTHONIC_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_PYTHONIC_TOOLS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/marked_tools.h"

namespace keel {

// They begin the text, or follow <|python_start|>. A call is given when it is complete. A list that begins
// with no call of a known tool is text.
class PythonicTools : public MarkedTools {
 public:
  using IsTool = std::function<bool(absl::string_view name)>;

  // `is_tool` empty: every name is a tool's.
  explicit PythonicTools(IsTool is_tool);
  std::unique_ptr<ToolParser> Clone() const override {
    return std::make_unique<PythonicTools>(*this);
  }

 private:
  bool CallStep(std::vector<OutputPart>* parts) override;
  void EndCalls(std::vector<OutputPart>* parts) override;
  bool BeginsBare(absl::string_view text) const override { return text.front() == '['; }

  // Bytes of the call that `text` begins with, through its parenthesis; 0: it is not complete.
  static size_t CallSize(absl::string_view text);
  void Leave(std::vector<OutputPart>* parts);

  IsTool is_tool_;
  bool has_called_ = false;  // in this list
  std::string raw_;          // of the list, until it has
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_PYTHONIC_TOOLS_H_

// DeepSeek's calls, of V3 and R1 and of V3.1 (the bars and blocks of the markers are not ASCII):
//   <|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>f\n```json\n{...}\n```<|tool_call_end|>...
//   <|tool_calls_begin|><|tool_call_begin|>f<|tool_sep|>{...}<|tool_call_end|>...<|tool_calls_end|>
#ifndef KEEL_CORE_CHAT_PARSERS_DEEPSEEK_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_DEEPSEEK_TOOLS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/chat/parsers/marked_tools.h"

namespace keel {

class DeepseekTools : public MarkedTools {
 public:
  DeepseekTools();
  std::unique_ptr<ToolParser> Clone() const override {
    return std::make_unique<DeepseekTools>(*this);
  }

  static absl::Span<const absl::string_view> Markers();

 private:
  enum class State { kBetween, kBeforeSep, kAfterSep, kName, kFence, kArguments };

  bool CallStep(std::vector<OutputPart>* parts) override;
  void EndCalls(std::vector<OutputPart>* parts) override;
  void GiveName(std::vector<OutputPart>* parts);

  State state_ = State::kBetween;
  std::string name_;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_DEEPSEEK_TOOLS_H_

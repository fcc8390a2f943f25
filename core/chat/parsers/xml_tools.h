// Qwen3-Coder's calls:
//   <tool_call>\n<function=f>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>
#ifndef KEEL_CORE_CHAT_PARSERS_XML_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_XML_TOOLS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/marked_tools.h"

namespace keel {

// Values have no type in the text. One that the tool declares as a string is a string and comes as it is
// made; another is JSON where it parses, else a string, and comes when it is complete.
class XmlTools : public MarkedTools {
 public:
  // True if the tool declares its parameter as a string.
  using IsString = std::function<bool(absl::string_view tool, absl::string_view parameter)>;

  explicit XmlTools(IsString is_string);
  std::unique_ptr<ToolParser> Clone() const override { return std::make_unique<XmlTools>(*this); }

 private:
  enum class State { kBetween, kFunctionName, kParameters, kParameterName, kValue };

  void BeginCalls(size_t begin) override;
  bool CallStep(std::vector<OutputPart>* parts) override;
  void EndCalls(std::vector<OutputPart>* parts) override;
  void BeginValue(std::vector<OutputPart>* parts);
  bool ValueStep(std::vector<OutputPart>* parts);
  // A piece of a string that is told as it comes; its last line's end waits for what follows.
  void TellString(std::string piece, bool is_last, std::vector<OutputPart>* parts);
  void EndFunction(std::vector<OutputPart>* parts);

  IsString is_string_;
  State state_ = State::kBetween;
  std::string function_, parameter_, value_;
  size_t num_parameters_ = 0;
  bool is_wrapped_ = false;   // in <tool_call>
  bool tells_ = false;        // the value is a string
  bool value_begun_ = false;  // the newline after its tag is past
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_XML_TOOLS_H_

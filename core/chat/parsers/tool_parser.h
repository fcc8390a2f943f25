// What a model's text is made of, and who takes it apart.
#ifndef KEEL_CORE_CHAT_PARSERS_TOOL_PARSER_H_
#define KEEL_CORE_CHAT_PARSERS_TOOL_PARSER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace keel {

struct OutputPart {
  enum class Kind {
    kText,           // the answer
    kReasoning,      // before it
    kToolName,       // a call of this tool begins; comes whole
    kToolArguments,  // of the call that began last: JSON in pieces, "" if the text ended too soon
  };

  Kind kind = Kind::kText;
  std::string text;
};

// Appends to the last part if it is of the same kind and in pieces; nothing if `text` is empty.
void AddPart(OutputPart::Kind kind, absl::string_view text, std::vector<OutputPart>* parts);

// Finds the calls of tools in one growing text: a state machine that gives the same parts however the
// text was cut, and never a byte of what marks a call. What looks like a call and is none is text.
// One thread at a time.
class ToolParser {
 public:
  virtual ~ToolParser() = default;

  // Appends what is now certain.
  virtual void Add(absl::string_view text, std::vector<OutputPart>* parts) = 0;
  // The text has ended: appends what was held back.
  virtual void Finish(std::vector<OutputPart>* parts) = 0;
  // What comes next is reasoning, of a format that has it among other parts.
  virtual bool is_reasoning() const { return false; }
  // For a sequence that forks.
  virtual std::unique_ptr<ToolParser> Clone() const = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_TOOL_PARSER_H_

// What the formats of calls have in common: text, a marker, calls, text again.
#ifndef KEEL_CORE_CHAT_PARSERS_MARKED_TOOLS_H_
#define KEEL_CORE_CHAT_PARSERS_MARKED_TOOLS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/json_value.h"
#include "core/chat/parsers/marker_scanner.h"
#include "core/chat/parsers/tool_parser.h"

namespace keel {

// Spaces around calls belong to the format: they are no text.
class MarkedTools : public ToolParser {
 public:
  void Add(absl::string_view text, std::vector<OutputPart>* parts) final;
  void Finish(std::vector<OutputPart>* parts) final;

 protected:
  // Static texts: `begins` begin calls; `ends` end them, and are never text.
  MarkedTools(std::vector<absl::string_view> begins, std::vector<absl::string_view> ends);

  MarkerScanner& scanner() { return scanner_; }
  const std::vector<absl::string_view>& begins() const { return begins_; }
  const std::vector<absl::string_view>& ends() const { return ends_; }

  // The marker begins()[begin] was taken.
  virtual void BeginCalls(size_t /*begin*/) {}
  // Goes on within calls. False: more text is needed. Ends with LeaveCalls.
  virtual bool CallStep(std::vector<OutputPart>* parts) = 0;
  // The text has ended within calls.
  virtual void EndCalls(std::vector<OutputPart>* parts) = 0;
  // Calls begin without a marker: `text` begins the whole text, spaces apart, and is not empty.
  virtual bool BeginsBare(absl::string_view /*text*/) const { return false; }

  void LeaveCalls() { in_calls_ = false; }
  void EnterCalls() { in_calls_ = true; }
  // Text of the answer.
  void Say(absl::string_view text, std::vector<OutputPart>* parts);
  // Gives the JSON value that the rest begins with as arguments, as it comes. True when it has ended.
  bool StreamArguments(std::vector<OutputPart>* parts);
  void SkipSpaces();

 private:
  bool TextStep(std::vector<OutputPart>* parts);

  std::vector<absl::string_view> begins_, ends_;
  std::vector<absl::string_view> markers_;  // both
  MarkerScanner scanner_;
  JsonValueScanner arguments_;
  std::string spaces_;  // at the end of the text, until it is known what follows
  bool has_text_ = false, after_call_ = false;
  bool in_calls_ = false;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_MARKED_TOOLS_H_

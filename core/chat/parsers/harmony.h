// gpt-oss' format, in which all of an answer stands in messages with a channel:
//   <|channel|>analysis<|message|>...<|end|>
//   <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{...}<|call|>
//   <|start|>assistant<|channel|>final<|message|>...<|return|>
#ifndef KEEL_CORE_CHAT_PARSERS_HARMONY_H_
#define KEEL_CORE_CHAT_PARSERS_HARMONY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/chat/parsers/marker_scanner.h"
#include "core/chat/parsers/tool_parser.h"

namespace keel {

// Analysis is reasoning; a message to a recipient is a call, whose name is the recipient without
// "functions."; the rest is the answer. Text outside of messages is too.
class Harmony : public ToolParser {
 public:
  void Add(absl::string_view text, std::vector<OutputPart>* parts) override;
  void Finish(std::vector<OutputPart>* parts) override;
  bool is_reasoning() const override {
    return !in_header_ && !drops_ && kind_ == OutputPart::Kind::kReasoning;
  }
  std::unique_ptr<ToolParser> Clone() const override { return std::make_unique<Harmony>(*this); }

  static absl::Span<const absl::string_view> Markers();

 private:
  bool Step(std::vector<OutputPart>* parts);
  // The message begins whose header was read.
  void BeginBody(std::vector<OutputPart>* parts);

  MarkerScanner scanner_;
  std::string header_;
  bool in_header_ = false;
  bool drops_ = false;  // what stands between messages is no text once one has come
  OutputPart::Kind kind_ = OutputPart::Kind::kText;  // of the body
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_HARMONY_H_

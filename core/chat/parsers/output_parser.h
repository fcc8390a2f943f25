// A model's text, taken apart into reasoning, answer and calls of tools.
#ifndef KEEL_CORE_CHAT_PARSERS_OUTPUT_PARSER_H_
#define KEEL_CORE_CHAT_PARSERS_OUTPUT_PARSER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/reasoning.h"
#include "core/chat/parsers/tool_parser.h"

namespace keel {

// Copyable, so that a sequence can fork; one thread at a time.
class OutputParser {
 public:
  // Either may be missing.
  OutputParser(std::optional<ReasoningSplitter> reasoning, std::unique_ptr<ToolParser> tools)
      : reasoning_(std::move(reasoning)), tools_(std::move(tools)) {}
  OutputParser(const OutputParser& other) : reasoning_(other.reasoning_) {
    if (other.tools_ != nullptr) tools_ = other.tools_->Clone();
  }
  OutputParser& operator=(const OutputParser& other) { return *this = OutputParser(other); }
  OutputParser(OutputParser&&) = default;
  OutputParser& operator=(OutputParser&&) = default;

  // Appends the parts of `text` that are now certain.
  void Add(absl::string_view text, std::vector<OutputPart>* parts);
  // The text has ended: appends what was held back.
  void Finish(std::vector<OutputPart>* parts);

  // What comes next is reasoning, or the marker that ends it.
  bool is_reasoning() const;
  // What came last may be the beginning of that marker.
  bool is_uncertain() const { return reasoning_.has_value() && reasoning_->is_uncertain(); }

 private:
  void Answer(absl::string_view text, std::vector<OutputPart>* parts);

  std::optional<ReasoningSplitter> reasoning_;
  std::unique_ptr<ToolParser> tools_;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_OUTPUT_PARSER_H_

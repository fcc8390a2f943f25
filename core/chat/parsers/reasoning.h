// What a model writes before its answer, between markers: <think> ... </think>.
#ifndef KEEL_CORE_CHAT_PARSERS_REASONING_H_
#define KEEL_CORE_CHAT_PARSERS_REASONING_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/marker_scanner.h"
#include "core/chat/parsers/tool_parser.h"

namespace keel {

struct ReasoningFormat {
  absl::string_view begin, end;  // static
  // The text begins within, though nothing says so: templates of these models open it in the prompt, or
  // the models leave out the beginning.
  bool begins_within = false;
};

// Parts the reasoning from what follows it. Newlines at its ends belong to the format. Copyable.
class ReasoningSplitter {
 public:
  // `prompt` is what the text follows: it may end within reasoning that its template opened, or after one
  // that it closed.
  ReasoningSplitter(const ReasoningFormat& format, absl::string_view prompt);

  // Appends reasoning to `parts` and what follows it to `answer`, as far as that is certain.
  void Add(absl::string_view text, std::vector<OutputPart>* parts, std::string* answer);
  void Finish(std::vector<OutputPart>* parts, std::string* answer);

  // None has begun yet, and it may.
  bool is_before() const { return state_ == State::kBefore; }
  // It has begun and not ended.
  bool is_within() const { return state_ == State::kWithin; }
  // What came last may be the beginning of a marker.
  bool is_uncertain() const { return !scanner_.rest().empty(); }

 private:
  enum class State { kBefore, kWithin, kEnded, kAfter };

  void Think(absl::string_view text, std::vector<OutputPart>* parts);

  ReasoningFormat format_;
  State state_ = State::kBefore;
  MarkerScanner scanner_;
  std::string newlines_;  // at the end of the reasoning, until it is known what follows
  bool has_thought_ = false;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_REASONING_H_

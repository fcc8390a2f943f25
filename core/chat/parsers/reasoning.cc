#include "core/chat/parsers/reasoning.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace keel {

ReasoningSplitter::ReasoningSplitter(const ReasoningFormat& format, absl::string_view prompt)
    : format_(format) {
  const absl::string_view told = absl::StripTrailingAsciiWhitespace(prompt);
  if (absl::EndsWith(told, format.end)) {
    state_ = State::kEnded;
  } else if (absl::EndsWith(told, format.begin) || format.begins_within) {
    state_ = State::kWithin;
  }
}

void ReasoningSplitter::Think(absl::string_view text, std::vector<OutputPart>* parts) {
  if (!has_thought_) text = absl::StripLeadingAsciiWhitespace(text);
  if (text.empty()) return;
  has_thought_ = true;
  const absl::string_view said = absl::StripTrailingAsciiWhitespace(text);
  if (!said.empty()) {
    AddPart(OutputPart::Kind::kReasoning, newlines_, parts);
    AddPart(OutputPart::Kind::kReasoning, said, parts);
    newlines_.clear();
  }
  newlines_.append(text.data() + said.size(), text.size() - said.size());
}

void ReasoningSplitter::Add(absl::string_view text, std::vector<OutputPart>* parts,
                            std::string* answer) {
  scanner_.Add(text);
  // The marker comes first or never; models whose prompt opens it may repeat it.
  while (state_ == State::kBefore || (state_ == State::kWithin && !has_thought_)) {
    const absl::string_view rest = absl::StripLeadingAsciiWhitespace(scanner_.rest());
    if (absl::StartsWith(rest, format_.begin)) {
      scanner_.Take(scanner_.rest().size() - rest.size() + format_.begin.size());
      state_ = State::kWithin;
    } else if (absl::StartsWith(format_.begin, rest)) {
      return;
    } else {
      if (state_ == State::kBefore) state_ = State::kAfter;
      break;
    }
  }
  if (state_ == State::kWithin) {
    std::string before;
    const int found = scanner_.TakeUntil({&format_.end, 1}, &before);
    Think(before, parts);
    if (found < 0) return;
    newlines_.clear();
    state_ = State::kEnded;
  }
  if (state_ == State::kEnded) {
    const absl::string_view rest = absl::StripLeadingAsciiWhitespace(scanner_.rest());
    scanner_.Take(scanner_.rest().size() - rest.size());
    if (scanner_.rest().empty()) return;
    state_ = State::kAfter;
  }
  answer->append(scanner_.rest().data(), scanner_.rest().size());
  scanner_.Take(scanner_.rest().size());
}

void ReasoningSplitter::Finish(std::vector<OutputPart>* parts, std::string* answer) {
  if (state_ == State::kWithin) {
    Think(scanner_.rest(), parts);
  } else {
    answer->append(scanner_.rest().data(), scanner_.rest().size());
  }
  scanner_.Take(scanner_.rest().size());
}

}  // namespace keel

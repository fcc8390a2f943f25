#include "core/chat/parsers/marked_tools.h"

#include "absl/strings/ascii.h"

namespace keel {
namespace {

using Kind = OutputPart::Kind;

absl::string_view LeadingSpaces(absl::string_view text) {
  return text.substr(0, text.size() - absl::StripLeadingAsciiWhitespace(text).size());
}

}  // namespace

MarkedTools::MarkedTools(std::vector<absl::string_view> begins, std::vector<absl::string_view> ends)
    : begins_(std::move(begins)), ends_(std::move(ends)), markers_(begins_) {
  markers_.insert(markers_.end(), ends_.begin(), ends_.end());
}

void MarkedTools::Add(absl::string_view text, std::vector<OutputPart>* parts) {
  scanner_.Add(text);
  while (in_calls_ ? CallStep(parts) : TextStep(parts)) {
  }
}

void MarkedTools::Finish(std::vector<OutputPart>* parts) {
  Add("", parts);
  if (in_calls_) EndCalls(parts);
  if (!in_calls_) {
    Say(scanner_.rest(), parts);
    scanner_.Take(scanner_.rest().size());
  }
  if (!after_call_) AddPart(Kind::kText, spaces_, parts);
  spaces_.clear();
}

void MarkedTools::SkipSpaces() { scanner_.Take(LeadingSpaces(scanner_.rest()).size()); }

void MarkedTools::Say(absl::string_view text, std::vector<OutputPart>* parts) {
  const absl::string_view said = absl::StripAsciiWhitespace(text);
  if (said.empty()) {
    spaces_.append(text.data(), text.size());
    return;
  }
  const size_t begin = static_cast<size_t>(said.data() - text.data());
  if (!after_call_) AddPart(Kind::kText, spaces_ + std::string(text.substr(0, begin)), parts);
  AddPart(Kind::kText, said, parts);
  spaces_ = std::string(text.substr(begin + said.size()));
  has_text_ = true;
  after_call_ = false;
}

// False: more text is needed.
bool MarkedTools::TextStep(std::vector<OutputPart>* parts) {
  if (!has_text_ && !after_call_) {
    const absl::string_view text = absl::StripLeadingAsciiWhitespace(scanner_.rest());
    if (!text.empty() && BeginsBare(text)) {
      scanner_.Take(scanner_.rest().size() - text.size());
      in_calls_ = after_call_ = true;
      spaces_.clear();
      return true;
    }
  }
  std::string before;
  const int found = scanner_.TakeUntil(markers_, &before);
  Say(before, parts);
  if (found < 0) return false;
  if (static_cast<size_t>(found) >= begins_.size()) return true;
  spaces_.clear();
  in_calls_ = after_call_ = true;
  BeginCalls(static_cast<size_t>(found));
  return true;
}

bool MarkedTools::StreamArguments(std::vector<OutputPart>* parts) {
  const absl::string_view rest = scanner_.rest();
  const size_t taken = arguments_.Add(rest);
  AddPart(Kind::kToolArguments, rest.substr(0, taken), parts);
  scanner_.Take(taken);
  if (!arguments_.done()) return false;
  arguments_ = JsonValueScanner();
  return true;
}

}  // namespace keel

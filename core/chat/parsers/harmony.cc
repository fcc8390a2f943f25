#include "core/chat/parsers/harmony.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace keel {
namespace {

using Kind = OutputPart::Kind;

constexpr absl::string_view kMarkers[] = {"<|start|>",     "<|channel|>", "<|message|>", "<|end|>",
                                          "<|constrain|>", "<|call|>",    "<|return|>"};
enum Marker { kStart, kChannel, kMessage, kEnd, kConstrain, kCall, kReturn };

// "functions.f" of "commentary to=functions.f json"; "" if there is no recipient.
absl::string_view RecipientOf(absl::string_view header) {
  const size_t at = header.find("to=");
  if (at == absl::string_view::npos) return "";
  absl::string_view rest = header.substr(at + 3);
  rest = rest.substr(0, rest.find_first_of(" \t\n<"));
  absl::ConsumePrefix(&rest, "functions.");
  return rest;
}

}  // namespace

absl::Span<const absl::string_view> Harmony::Markers() { return kMarkers; }

void Harmony::BeginBody(std::vector<OutputPart>* parts) {
  const absl::string_view recipient = RecipientOf(header_);
  if (!recipient.empty()) {
    kind_ = Kind::kToolArguments;
    AddPart(Kind::kToolName, recipient, parts);
  } else {
    kind_ = absl::StrContains(header_, "analysis") ? Kind::kReasoning : Kind::kText;
  }
  header_.clear();
  in_header_ = drops_ = false;
}

bool Harmony::Step(std::vector<OutputPart>* parts) {
  std::string before;
  const int found = scanner_.TakeUntil(kMarkers, &before);
  if (in_header_) {
    header_ += before;
  } else if (!drops_) {
    AddPart(kind_, before, parts);
  }
  switch (found) {
    case kStart:
    case kChannel:
    case kConstrain:
      if (!in_header_) header_.clear();
      header_ += ' ';  // a marker parts words
      in_header_ = true;
      break;
    case kMessage:
      BeginBody(parts);
      break;
    case kEnd:
    case kCall:
    case kReturn:
      in_header_ = false;
      drops_ = true;
      kind_ = Kind::kText;
      break;
    default:
      return false;
  }
  return true;
}

void Harmony::Add(absl::string_view text, std::vector<OutputPart>* parts) {
  scanner_.Add(text);
  while (Step(parts)) {
  }
}

void Harmony::Finish(std::vector<OutputPart>* parts) {
  if (!in_header_ && !drops_) AddPart(kind_, scanner_.rest(), parts);
  scanner_.Take(scanner_.rest().size());
}

}  // namespace keel

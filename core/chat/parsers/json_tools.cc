#include "core/chat/parsers/json_tools.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace keel {
namespace {

// Between calls.
bool Separates(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c)) ||
         absl::StrContains(",;[]", absl::string_view(&c, 1));
}

}  // namespace

bool JsonTools::BeginsBare(absl::string_view text) const {
  return format_.bare && (text.front() == '{' || (format_.bare_list && text.front() == '['));
}

void JsonTools::Settle(std::vector<OutputPart>* parts) {
  if (call_->failed()) {
    Say(call_->raw(), parts);
    LeaveCalls();
  }
  call_.reset();
}

bool JsonTools::CallStep(std::vector<OutputPart>* parts) {
  if (call_.has_value()) {
    static const JsonCall::IsTool kAny;
    const size_t taken = call_->Add(scanner().rest(), format_.bare ? is_tool_ : kAny, parts);
    scanner().Take(taken);
    if (!call_->done() && !call_->failed()) return false;
    Settle(parts);
    return true;
  }
  for (const absl::string_view end : format_.ends) {
    if (!scanner().TakeMarker(end)) continue;
    LeaveCalls();
    return true;
  }
  for (const absl::string_view begin : format_.begins) {
    if (scanner().TakeMarker(begin)) return true;
  }
  if (scanner().rest().empty() || scanner().MayBecome(format_.ends) ||
      scanner().MayBecome(format_.begins)) {
    return false;
  }
  if (scanner().rest().front() == '{') {
    call_.emplace();
  } else if (Separates(scanner().rest().front())) {
    scanner().Take(1);
  } else {
    LeaveCalls();
  }
  return true;
}

void JsonTools::EndCalls(std::vector<OutputPart>* parts) {
  if (!call_.has_value()) {
    LeaveCalls();  // the rest is the beginning of a marker, or nothing
    return scanner().Take(scanner().rest().size());
  }
  call_->Finish(parts);
  Settle(parts);
  LeaveCalls();
}

}  // namespace keel

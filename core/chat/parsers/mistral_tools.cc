#include "core/chat/parsers/mistral_tools.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace keel {
namespace {

constexpr absl::string_view kEnds[] = {"[ARGS]", "[CALL_ID]", "{"};  // of a name

}  // namespace

void MistralTools::GiveName(std::vector<OutputPart>* parts) {
  AddPart(OutputPart::Kind::kToolName, absl::StripAsciiWhitespace(name_), parts);
  name_.clear();
}

// Objects alone or in a list.
bool MistralTools::ObjectStep(std::vector<OutputPart>* parts) {
  if (call_.has_value()) {
    scanner().Take(call_->Add(scanner().rest(), {}, parts));
    if (!call_->done() && !call_->failed()) return false;
    if (call_->failed()) Say(call_->raw(), parts);
    call_.reset();
    return true;
  }
  SkipSpaces();
  const absl::string_view rest = scanner().rest();
  if (rest.empty() || scanner().MayBecome(begins())) return false;
  if (rest.front() == '{') {
    call_.emplace();
  } else if (absl::StrContains(",[]", rest.substr(0, 1)) && !absl::StartsWith(rest, begins()[0])) {
    scanner().Take(1);
  } else {
    state_ = State::kBegin;
    LeaveCalls();
  }
  return true;
}

bool MistralTools::CallStep(std::vector<OutputPart>* parts) {
  switch (state_) {
    case State::kBegin:
      SkipSpaces();
      if (scanner().rest().empty()) return false;
      state_ =
          absl::StrContains("[{", scanner().rest().substr(0, 1)) ? State::kObjects : State::kName;
      return true;
    case State::kObjects:
      return ObjectStep(parts);
    case State::kName: {
      const int end = scanner().TakeUntil(kEnds, &name_);
      if (end < 0) return false;
      GiveName(parts);
      state_ = end == 1 ? State::kCallId : State::kArguments;
      // The brace is the arguments' own.
      if (end == 2) scanner().PutBack("{");
      return true;
    }
    case State::kCallId: {
      std::string id;
      if (scanner().TakeUntil({kEnds, 1}, &id) < 0) return false;
      state_ = State::kArguments;
      return true;
    }
    case State::kArguments:
      if (!StreamArguments(parts)) return false;
      state_ = State::kBegin;
      LeaveCalls();
      return true;
  }
  return false;
}

void MistralTools::EndCalls(std::vector<OutputPart>* parts) {
  if (call_.has_value()) {
    call_->Finish(parts);
    if (call_->failed()) Say(call_->raw(), parts);
    call_.reset();
  }
  if (state_ == State::kName) {
    name_.append(scanner().rest().data(), scanner().rest().size());
    if (!absl::StripAsciiWhitespace(name_).empty()) GiveName(parts);
  }
  scanner().Take(scanner().rest().size());
  state_ = State::kBegin;
  LeaveCalls();
}

}  // namespace keel

#include "core/chat/parsers/deepseek_tools.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace keel {
namespace {

// U+FF5C and U+2581.
#define BAR "\xEF\xBD\x9C"
#define BLOCK "\xE2\x96\x81"
constexpr absl::string_view kMarkers[] = {
    "<" BAR "tool" BLOCK "calls" BLOCK "begin" BAR ">",
    "<" BAR "tool" BLOCK "call" BLOCK "begin" BAR ">",
    "<" BAR "tool" BLOCK "sep" BAR ">",
    "<" BAR "tool" BLOCK "call" BLOCK "end" BAR ">",
    "<" BAR "tool" BLOCK "calls" BLOCK "end" BAR ">",
};
#undef BAR
#undef BLOCK
enum Marker { kCallsBegin, kCallBegin, kSep, kCallEnd, kCallsEnd };

}  // namespace

DeepseekTools::DeepseekTools()
    : MarkedTools({kMarkers[kCallsBegin]}, {kMarkers[kCallEnd], kMarkers[kCallsEnd]}) {}

absl::Span<const absl::string_view> DeepseekTools::Markers() { return kMarkers; }

void DeepseekTools::GiveName(std::vector<OutputPart>* parts) {
  AddPart(OutputPart::Kind::kToolName, absl::StripAsciiWhitespace(name_), parts);
  name_.clear();
}

bool DeepseekTools::CallStep(std::vector<OutputPart>* parts) {
  std::string skipped;
  switch (state_) {
    case State::kBetween: {
      // Whatever stands between calls, a fence's end among it, is markup.
      const int found = scanner().TakeUntil(kMarkers, &skipped);
      if (found < 0) return false;
      if (found == kCallBegin) state_ = State::kBeforeSep;
      if (found == kCallsEnd) LeaveCalls();
      return true;
    }
    case State::kBeforeSep:
      if (scanner().TakeUntil({&kMarkers[kSep], 1}, &name_) < 0) return false;
      state_ = State::kAfterSep;
      return true;
    case State::kAfterSep:
      SkipSpaces();
      if (scanner().rest().empty()) return false;
      if (scanner().rest().front() == '{') {  // what came before is the name
        GiveName(parts);
        state_ = State::kArguments;
      } else {  // it is a type, and the name is a line
        name_.clear();
        state_ = State::kName;
      }
      return true;
    case State::kName: {
      constexpr absl::string_view kNewline = "\n";
      if (scanner().TakeUntil({&kNewline, 1}, &name_) < 0) return false;
      GiveName(parts);
      state_ = State::kFence;
      return true;
    }
    case State::kFence: {
      constexpr absl::string_view kBrace = "{";
      if (scanner().TakeUntil({&kBrace, 1}, &skipped) < 0) return false;
      scanner().PutBack(kBrace);
      state_ = State::kArguments;
      return true;
    }
    case State::kArguments:
      if (!StreamArguments(parts)) return false;
      state_ = State::kBetween;
      return true;
  }
  return false;
}

void DeepseekTools::EndCalls(std::vector<OutputPart>*) {
  scanner().Take(scanner().rest().size());
  name_.clear();
  state_ = State::kBetween;
  LeaveCalls();
}

}  // namespace keel

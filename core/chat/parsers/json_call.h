// A call that a model writes as one JSON object.
#ifndef KEEL_CORE_CHAT_PARSERS_JSON_CALL_H_
#define KEEL_CORE_CHAT_PARSERS_JSON_CALL_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/chat/parsers/json_value.h"
#include "core/chat/parsers/tool_parser.h"

namespace keel {

// {"name": "f", "arguments": {...}}, in either order; "parameters" is the same. Other members are passed
// over. Gives the name as soon as it is there, then the arguments as they come, as the model wrote them.
// Copyable.
class JsonCall {
 public:
  using IsTool = std::function<bool(absl::string_view name)>;

  // Takes the object, which begins with the first byte that is given, as far as `text` has it; returns how
  // much that is. `is_tool` empty: every name is a tool's.
  size_t Add(absl::string_view text, const IsTool& is_tool, std::vector<OutputPart>* parts);

  bool done() const { return state_ == State::kDone; }
  // It is no call: nothing was given, and raw() is its text.
  bool failed() const { return state_ == State::kFailed; }
  // All that was taken while no name is known.
  const std::string& raw() const { return raw_; }
  // The text has ended within it: gives what is held back.
  void Finish(std::vector<OutputPart>* parts);

 private:
  enum class State { kBegin, kKey, kColon, kValue, kComma, kDone, kFailed };
  enum class Member { kOther, kName, kArguments };

  // Takes one byte that is no part of a value. False: it does not belong there.
  bool TakeMark(char c);
  void TakeValue(absl::string_view piece, std::vector<OutputPart>* parts);
  void EndValue(const IsTool& is_tool, std::vector<OutputPart>* parts);
  void Close(std::vector<OutputPart>* parts);

  State state_ = State::kBegin;
  Member member_ = Member::kOther;
  JsonValueScanner scanner_;
  std::string value_;      // so far, of a key or of a member that is not streamed
  std::string arguments_;  // until the name is known
  std::string raw_;
  bool is_named_ = false, has_arguments_ = false;
  bool in_value_ = false, value_is_string_ = false;
};

// The text that a JSON string stands for; what is no string as it is.
std::string JsonStringText(absl::string_view json);

}  // namespace keel

#endif  // KEEL_CORE_CHAT_PARSERS_JSON_CALL_H_

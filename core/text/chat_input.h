// The messages of a request as templates take them.
#ifndef KEEL_CORE_TEXT_CHAT_INPUT_H_
#define KEEL_CORE_TEXT_CHAT_INPUT_H_

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/text/chat_template.h"

namespace keel {

// The variables of a render, by transformers' rules: keys of messages whose value is null are
// dropped, reasoning_content is filled from its other names, kwargs override special tokens.
struct ChatContext {
  boost::json::object variables;
  // continue_final_message: the text that the prompt must end with, tagged in `variables`.
  std::string final_text;
};

absl::StatusOr<ChatContext> MakeChatContext(
    const ChatTemplateInput& input, const std::map<std::string, std::string>& special_tokens);

// `rendered` up to the tag that MakeChatContext put after the last message.
absl::StatusOr<std::string> CutAtFinalMessage(std::string rendered, absl::string_view final_text);

}  // namespace keel

#endif  // KEEL_CORE_TEXT_CHAT_INPUT_H_

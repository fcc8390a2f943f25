// The messages of a request as templates take them.
#ifndef KEEL_CORE_CHAT_CHAT_INPUT_H_
#define KEEL_CORE_CHAT_CHAT_INPUT_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// How a template reads the content of a message.
enum class ContentFormat {
  kString,         // as a string
  kPartsOrString,  // as a list of parts ({"type": "text", "text": ...}), or as a string
  kParts,          // as a list of parts
};

struct ChatTemplateInput {
  // JSON texts. messages: an array of objects, not empty; keys whose value is null are dropped.
  // tools: an array, or empty for none. documents: likewise. kwargs: an object, or empty; its
  // members become variables (enable_thinking ...) and override special tokens of the same name.
  absl::string_view messages;
  absl::string_view tools;
  absl::string_view documents;
  absl::string_view kwargs;
  bool add_generation_prompt = false;
  // The prompt ends within the last message, which the model continues. Not together with
  // add_generation_prompt.
  bool continue_final_message = false;
  // Picks one of several templates by name; empty: "tool_use" if there are tools and such a
  // template, else "default".
  absl::string_view template_name;
  // What the template is given; unset: what it reads, as its source says.
  std::optional<ContentFormat> content_format;
  // Texts of a modality's items, "image" to "<image>": what parts {"type": "image"} become where a
  // content becomes one text.
  std::map<std::string, std::string> placeholders;
  // Seconds since 1970 that strftime_now shows in local time; unset: now.
  std::optional<int64_t> now;
};

// The variables of a render, by transformers' rules: keys of messages whose value is null are
// dropped, reasoning_content is filled from its other names, kwargs override special tokens.
struct ChatContext {
  boost::json::object variables;
  // continue_final_message: the text that the prompt must end with, tagged in `variables`.
  std::string final_text;
};

// For kString, content that is a list of parts becomes one text, a line each; for kParts, a
// text becomes a list of one part. Other content stays as it is.
absl::StatusOr<ChatContext> MakeChatContext(
    const ChatTemplateInput& input, ContentFormat format,
    const std::map<std::string, std::string>& special_tokens);

// `rendered` up to the tag that MakeChatContext put after the last message.
absl::StatusOr<std::string> CutAtFinalMessage(std::string rendered, absl::string_view final_text);

}  // namespace keel

#endif  // KEEL_CORE_CHAT_CHAT_INPUT_H_

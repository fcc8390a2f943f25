#include "core/chat/chat_input.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

// The tag of transformers, trailing space included: a template that trims messages removes the
// space, which is how CutAtFinalMessage knows.
constexpr absl::string_view kTag = "CONTINUE_FINAL_MESSAGE_TAG ";

// Names that a message's reasoning comes under; templates read the first.
constexpr const char* kReasoningFields[] = {"reasoning_content", "thinking", "reasoning"};

absl::StatusOr<json::value> ParseArray(absl::string_view text, absl::string_view where) {
  KEEL_ASSIGN_OR_RETURN(json::value value, ParseJson(text, where));
  if (!value.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": is ", JsonKindName(value), ", expected an array"));
  }
  return value;
}

json::object WithoutNulls(const json::object& message) {
  json::object kept;
  for (const auto& [key, value] : message) {
    if (!value.is_null()) kept[key] = value;
  }
  return kept;
}

// Fills reasoning_content from its older names, and thinking, which some templates read.
json::object WithReasoning(json::object message) {
  for (const char* name : kReasoningFields) {
    const json::value* found = message.if_contains(name);
    if (found == nullptr) continue;
    const json::value reasoning = *found;
    message["reasoning_content"] = reasoning;
    if (!message.contains("thinking")) message["thinking"] = reasoning;
    break;
  }
  return message;
}

using Placeholders = std::map<std::string, std::string>;

// The text of a part {"type": "text", "text": ...}, or what stands for one {"type": "image"}; unset if
// it is another one.
std::optional<absl::string_view> TextOf(const json::value& part, const Placeholders& placeholders) {
  const json::object* fields = part.if_object();
  const json::value* type = fields == nullptr ? nullptr : fields->if_contains("type");
  if (type == nullptr || !type->is_string()) return std::nullopt;
  if (type->get_string() == "text") {
    const json::value* text = fields->if_contains("text");
    if (text == nullptr || !text->is_string()) return std::nullopt;
    return absl::string_view(text->get_string().data(), text->get_string().size());
  }
  const auto found = placeholders.find(std::string(type->get_string()));
  if (found == placeholders.end()) return std::nullopt;
  return found->second;
}

// The texts of `parts`, a line each; unset if one of them has none.
std::optional<std::string> JoinedTexts(const json::array& parts, const Placeholders& placeholders) {
  std::string joined;
  for (const json::value& part : parts) {
    const auto text = TextOf(part, placeholders);
    if (!text.has_value()) return std::nullopt;
    absl::StrAppend(&joined, &part == &parts.front() ? "" : "\n", *text);
  }
  return joined;
}

void FormatContent(json::object& message, ContentFormat format, const Placeholders& placeholders) {
  json::value* content = message.if_contains("content");
  if (content == nullptr) return;
  if (format == ContentFormat::kString && content->is_array()) {
    if (const auto text = JoinedTexts(content->get_array(), placeholders)) *content = *text;
  } else if (format == ContentFormat::kParts && content->is_string()) {
    *content = json::array{json::object{{"type", "text"}, {"text", std::move(*content)}}};
  }
}

absl::StatusOr<json::array> ReadMessages(absl::string_view text, ContentFormat format,
                                         const Placeholders& placeholders) {
  KEEL_ASSIGN_OR_RETURN(const json::value list, ParseArray(text, "messages"));
  if (list.get_array().empty()) {
    return absl::InvalidArgumentError("messages: is empty, at least one message is needed");
  }
  json::array messages;
  for (const json::value& message : list.get_array()) {
    if (!message.is_object()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "messages[", messages.size(), "]: is ", JsonKindName(message), ", expected an object"));
    }
    json::object kept = WithReasoning(WithoutNulls(message.get_object()));
    FormatContent(kept, format, placeholders);
    messages.push_back(std::move(kept));
  }
  return messages;
}

// Appends the tag to the text of the last message and returns that text.
absl::StatusOr<std::string> TagFinalMessage(json::object& message) {
  json::value* content = message.if_contains("content");
  if (content == nullptr) {
    return absl::InvalidArgumentError(
        "continue_final_message: the last message has no content to continue");
  }
  json::string* text = content->if_string();
  if (json::array* parts = content->if_array()) {
    for (json::value& part : *parts) {
      json::value* found = part.is_object() ? part.get_object().if_contains("text") : nullptr;
      if (found != nullptr && found->is_string()) text = &found->get_string();
    }
  }
  if (text == nullptr) {
    return absl::InvalidArgumentError(
        "continue_final_message: the last message has no text to continue");
  }
  std::string original(text->data(), text->size());
  text->append(json::string_view(kTag.data(), kTag.size()));
  return original;
}

absl::StatusOr<json::value> OptionalArray(absl::string_view text, absl::string_view where) {
  if (text.empty()) return json::value(nullptr);
  return ParseArray(text, where);
}

absl::Status AddKwargs(absl::string_view text, json::object& variables) {
  if (text.empty()) return absl::OkStatus();
  KEEL_ASSIGN_OR_RETURN(json::value kwargs, ParseJson(text, "chat_template_kwargs"));
  if (!kwargs.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("chat_template_kwargs: is ", JsonKindName(kwargs), ", expected an object"));
  }
  for (auto& [key, value] : kwargs.get_object()) {
    for (const char* taken : {"messages", "tools", "documents", "add_generation_prompt"}) {
      if (key == taken) {
        return absl::InvalidArgumentError(
            absl::StrCat("chat_template_kwargs: ", taken, " is set by the request itself"));
      }
    }
    variables[key] = std::move(value);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChatContext> MakeChatContext(
    const ChatTemplateInput& input, ContentFormat format,
    const std::map<std::string, std::string>& special_tokens) {
  if (input.continue_final_message && input.add_generation_prompt) {
    return absl::InvalidArgumentError(
        "continue_final_message and add_generation_prompt exclude each other");
  }
  ChatContext context;
  KEEL_ASSIGN_OR_RETURN(json::array messages,
                        ReadMessages(input.messages, format, input.placeholders));
  if (input.continue_final_message) {
    KEEL_ASSIGN_OR_RETURN(context.final_text, TagFinalMessage(messages.back().get_object()));
  }
  for (const auto& [role, text] : special_tokens) context.variables[role] = text;
  KEEL_RETURN_IF_ERROR(AddKwargs(input.kwargs, context.variables));
  KEEL_ASSIGN_OR_RETURN(context.variables["tools"], OptionalArray(input.tools, "tools"));
  KEEL_ASSIGN_OR_RETURN(context.variables["documents"],
                        OptionalArray(input.documents, "documents"));
  context.variables["messages"] = std::move(messages);
  context.variables["add_generation_prompt"] = input.add_generation_prompt;
  return context;
}

absl::StatusOr<std::string> CutAtFinalMessage(std::string rendered, absl::string_view final_text) {
  const absl::string_view trimmed_tag = absl::StripAsciiWhitespace(kTag);
  const size_t at = rendered.rfind(std::string(trimmed_tag));
  if (at == std::string::npos ||
      !absl::StrContains(rendered, absl::StripAsciiWhitespace(final_text))) {
    return absl::InvalidArgumentError(
        "continue_final_message: the chat template leaves out or changes the last message");
  }
  const bool keeps_spaces = absl::StartsWith(absl::string_view(rendered).substr(at), kTag);
  rendered.resize(at);
  if (!keeps_spaces) absl::StripTrailingAsciiWhitespace(&rendered);
  return rendered;
}

}  // namespace keel

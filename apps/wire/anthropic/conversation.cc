#include "apps/wire/anthropic/conversation.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "apps/wire/media_parts.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Each becomes some kilobytes on its way through a template, however short it is.
constexpr size_t kMaxMessages = 1 << 16;

std::string Item(const std::string& path, size_t i) { return path + "[" + std::to_string(i) + "]"; }

// A required text of a block.
std::string Text(Fields& block, std::string_view name) {
  const auto text = block.String(name);
  if (!text.has_value()) {
    const std::string path = block.path() + std::string(name);
    block.Fail(InvalidField(path, path + " is missing, expected a string"));
  }
  return std::string(text.value_or(""));
}

json::value TextPart(std::string text) { return {{"type", "text"}, {"text", std::move(text)}}; }

// One text is a string, several are parts: templates that join parts do so as they please.
json::value ContentOf(json::array parts) {
  if (parts.size() != 1 || parts.front().at("type") != "text") return parts;
  return parts.front().at("text");
}

// {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "..."}}, or with a
// source {"type": "url", "url": "..."}.
json::value ReadImage(Fields& block) {
  const std::string path = block.path().substr(0, block.path().size() - 1);
  const json::object* object = block.Object("source");
  const json::object none;
  Fields source(object == nullptr ? none : *object, path + ".source.");
  const std::string type = Text(source, "type");
  json::value part = TextPart("");  // of a block that is refused
  if (type == "base64") {
    part = MediaPart("image", DataUrl(Text(source, "data")), path);
  } else if (type == "url") {
    part = MediaPart("image", Text(source, "url"), path);
  } else if (source.ok()) {
    source.Fail(NotServed(path, path + ": images from a source of type " + Quote(type) +
                                    " are not served, expected base64 or url"));
  }
  if (!source.ok()) block.Fail(*source.error());
  return part;
}

// What the blocks of one message came to.
struct Message {
  json::array parts;       // texts and images
  json::array tool_calls;  // in OpenAI's form, arguments as an object
  json::array results;     // messages of role tool
  std::string reasoning;
};

enum class Images { kMayBe, kMayNotBe };

// A text, or a list of blocks of type text and, where they may be, image.
json::array ReadParts(Fields& fields, std::string_view name, Images images) {
  json::array parts;
  const json::value* content = fields.Find(name);
  if (content == nullptr) return parts;
  const std::string path = fields.path() + std::string(name);
  if (const json::string* text = content->if_string()) {
    parts.push_back(TextPart(std::string(*text)));
    return parts;
  }
  const json::array* blocks = content->if_array();
  if (blocks == nullptr) {
    fields.FailType(name, *content, "a string or a list of blocks");
    return parts;
  }
  for (size_t i = 0; i < blocks->size() && fields.ok(); ++i) {
    const json::object* object = (*blocks)[i].if_object();
    const json::object none;
    Fields block(object == nullptr ? none : *object, Item(path, i) + ".");
    const std::string type = Text(block, "type");
    if (type == "text") {
      parts.push_back(TextPart(Text(block, "text")));
    } else if (type == "image" && images == Images::kMayBe) {
      parts.push_back(ReadImage(block));
    } else if (block.ok()) {
      block.Fail(NotServed(Item(path, i), Item(path, i) + ": blocks of type " + Quote(type) +
                                              " are not served here"));
    }
    if (!block.ok()) fields.Fail(*block.error());
  }
  return parts;
}

void ReadToolUse(Fields& block, Message* message) {
  const json::object* input = block.Object("input");
  json::object function = {{"name", Text(block, "name")},
                           {"arguments", input == nullptr ? json::object() : *input}};
  message->tool_calls.push_back(
      {{"id", Text(block, "id")}, {"type", "function"}, {"function", std::move(function)}});
}

void ReadToolResult(Fields& block, Message* message) {
  json::array parts = ReadParts(block, "content", Images::kMayBe);
  json::value content = parts.empty() ? json::value("") : ContentOf(std::move(parts));
  message->results.push_back({{"role", "tool"},
                              {"tool_call_id", Text(block, "tool_use_id")},
                              {"content", std::move(content)}});
}

void ReadBlock(Fields& block, bool is_assistant, Message* message) {
  const std::string type = Text(block, "type");
  if (!block.ok()) return;
  if (type == "text") {
    message->parts.push_back(TextPart(Text(block, "text")));
  } else if (type == "image" && !is_assistant) {
    message->parts.push_back(ReadImage(block));
  } else if (type == "tool_use" && is_assistant) {
    ReadToolUse(block, message);
  } else if (type == "thinking" && is_assistant) {
    message->reasoning += Text(block, "thinking");
  } else if (type == "redacted_thinking" && is_assistant) {
    // Another server's secret: nothing that the model could read.
  } else if (type == "tool_result" && !is_assistant) {
    ReadToolResult(block, message);
  } else {
    const std::string path = block.path().substr(0, block.path().size() - 1);
    block.Fail(NotServed(path, path + ": blocks of type " + Quote(type) +
                                   " are not served yet in a message of role " +
                                   (is_assistant ? "assistant" : "user")));
  }
}

void Append(Message message, const std::string& role, json::array* messages) {
  const bool has_results = !message.results.empty();
  for (json::value& result : message.results) messages->push_back(std::move(result));
  if (has_results && message.parts.empty()) return;
  json::object out = {{"role", role}};
  out["content"] = message.parts.empty() ? json::value("") : ContentOf(std::move(message.parts));
  if (!message.tool_calls.empty()) out["tool_calls"] = std::move(message.tool_calls);
  if (!message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
  messages->push_back(std::move(out));
}

void ReadMessage(Fields& fields, json::array* messages) {
  const std::string role = Text(fields, "role");
  if (fields.ok() && role != "user" && role != "assistant") {
    fields.Fail(InvalidField(fields.path() + "role", fields.path() + "role is " + Quote(role) +
                                                         ", expected user or assistant"));
  }
  const json::value* content = fields.Find("content");
  if (content == nullptr) {
    fields.Fail(InvalidField(fields.path() + "content", fields.path() + "content is missing"));
  }
  if (!fields.ok()) return;
  Message message;
  if (!content->is_array()) {
    message.parts = ReadParts(fields, "content", Images::kMayNotBe);
    return Append(std::move(message), role, messages);
  }
  const json::array& blocks = content->get_array();
  for (size_t i = 0; i < blocks.size() && fields.ok(); ++i) {
    const std::string path = Item(fields.path() + "content", i);
    const json::object none;
    const json::object* object = blocks[i].if_object();
    Fields block(object == nullptr ? none : *object, path + ".");
    ReadBlock(block, role == "assistant", &message);
    if (!block.ok()) fields.Fail(*block.error());
  }
  Append(std::move(message), role, messages);
}

}  // namespace

json::array ReadConversation(Fields& fields) {
  json::array messages;
  if (json::array system = ReadParts(fields, "system", Images::kMayNotBe); !system.empty())
    messages.push_back({{"role", "system"}, {"content", ContentOf(std::move(system))}});
  const json::array* list = fields.Array("messages");
  if (list == nullptr || list->empty() || list->size() > kMaxMessages) {
    fields.Fail(InvalidField(
        "messages", list == nullptr || list->empty()
                        ? "messages is " + std::string(list == nullptr ? "missing" : "empty") +
                              ", expected [{\"role\": \"user\", \"content\": \"...\"}]"
                        : "messages has " + std::to_string(list->size()) +
                              " entries, expected at most " + std::to_string(kMaxMessages)));
    return messages;
  }
  for (size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const json::object* object = (*list)[i].if_object();
    if (object == nullptr) {
      fields.FailType(Item("messages", i), (*list)[i], "an object with role and content");
      break;
    }
    Fields message(*object, Item("messages", i) + ".");
    ReadMessage(message, &messages);
    if (!message.ok()) fields.Fail(*message.error());
  }
  return messages;
}

}  // namespace keel::apps

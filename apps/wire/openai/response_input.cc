#include "apps/wire/openai/response_input.h"

#include <string>
#include <string_view>
#include <utility>

#include "apps/wire/media_parts.h"
#include "boost/json/parse.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr size_t kMaxItems = 1 << 16;  // each becomes some kilobytes on its way through a template

std::string Text(Fields& item, std::string_view name) {
  const auto text = item.String(name);
  if (!text.has_value()) {
    const std::string path = item.path() + std::string(name);
    item.Fail(InvalidField(path, path + " is missing, expected a string"));
  }
  return std::string(text.value_or(""));
}

// The URL of a part of type input_image.
std::string_view ReadImage(Fields& part, const std::string& path) {
  const auto url = part.String("image_url");
  if (!url.has_value()) {
    part.Fail(part.Has("file_id")
                  ? NotServed(path, path + " is a file_id; files are not kept, send image_url")
                  : InvalidField(path, path + " has no image_url, expected a string"));
  }
  return url.value_or(std::string_view());
}

// A text, or parts of type input_text or output_text, which become one; with images among them, parts
// as chat templates take them.
json::value ReadContent(Fields& item, std::string_view name) {
  const json::value* content = item.Find(name);
  if (content == nullptr || !content->is_array()) return json::value(Text(item, name));
  std::string all;
  json::array out;
  bool has_media = false;
  const json::array& parts = content->get_array();
  for (size_t i = 0; i < parts.size() && item.ok(); ++i) {
    const std::string path = item.path() + std::string(name) + "[" + std::to_string(i) + "]";
    const json::object none;
    const json::object* object = parts[i].if_object();
    Fields part(object == nullptr ? none : *object, path + ".");
    const std::string type = Text(part, "type");
    if (type == "input_image") {
      out.push_back(MediaPart("image", ReadImage(part, path), path));
      has_media = true;
    } else if (type == "input_text" || type == "output_text" || type == "text") {
      std::string text = Text(part, "text");
      all += (all.empty() ? "" : "\n") + text;
      out.push_back({{"type", "text"}, {"text", std::move(text)}});
    } else if (part.ok()) {
      part.Fail(NotServed(path, path + ": parts of type " + Quote(type) +
                                    " are not served here, expected input_text or input_image"));
    }
    if (!part.ok()) item.Fail(*part.error());
  }
  return has_media ? json::value(std::move(out)) : json::value(all);
}

// The assistant's message that a call belongs to.
json::object& MessageOfCalls(json::array* messages) {
  const bool has = !messages->empty() && messages->back().at("role") == "assistant";
  if (!has) messages->push_back({{"role", "assistant"}, {"content", ""}});
  json::object& message = messages->back().get_object();
  if (!message.contains("tool_calls")) message["tool_calls"] = json::array();
  return message;
}

void ReadCall(Fields& item, json::array* messages) {
  std::string arguments = Text(item, "arguments");
  boost::system::error_code error;
  json::value parsed = json::parse(arguments, error);
  json::object function = {{"name", Text(item, "name")}};
  function["arguments"] = !error && parsed.is_object() ? std::move(parsed) : json::value(arguments);
  MessageOfCalls(messages)["tool_calls"].get_array().push_back(
      {{"id", Text(item, "call_id")}, {"type", "function"}, {"function", std::move(function)}});
}

void ReadMessage(Fields& item, json::array* messages) {
  std::string role = Text(item, "role");
  if (role == "developer") role = "system";  // templates know that one
  if (item.ok() && role != "user" && role != "assistant" && role != "system") {
    item.Fail(InvalidField(item.path() + "role", item.path() + "role is " + Quote(role) +
                                                     ", expected user, assistant, system or "
                                                     "developer"));
  }
  messages->push_back({{"role", role}, {"content", ReadContent(item, "content")}});
}

void ReadItem(Fields& item, json::array* messages) {
  const std::string type(item.String("type").value_or("message"));
  if (type == "message") {
    ReadMessage(item, messages);
  } else if (type == "function_call") {
    ReadCall(item, messages);
  } else if (type == "function_call_output") {
    messages->push_back({{"role", "tool"},
                         {"tool_call_id", Text(item, "call_id")},
                         {"content", ReadContent(item, "output")}});
  } else if (type != "reasoning") {  // which templates leave out of earlier answers
    const std::string path = item.path().substr(0, item.path().size() - 1);
    item.Fail(NotServed(path, path + ": items of type " + Quote(type) + " are not served"));
  }
}

}  // namespace

void ReadResponseInput(Fields& fields, json::array* messages) {
  const json::value* input = fields.Find("input");
  if (input != nullptr && input->is_string()) {
    messages->push_back({{"role", "user"}, {"content", input->get_string()}});
    return;
  }
  const json::array* items = input == nullptr ? nullptr : input->if_array();
  if (items == nullptr || items->empty() || items->size() > kMaxItems) {
    fields.Fail(InvalidField("input", input == nullptr
                                          ? "input is missing, expected a string or a list of items"
                                          : "input is " + Show(*input) +
                                                ", expected a string or a list of 1 to " +
                                                std::to_string(kMaxItems) + " items"));
    return;
  }
  for (size_t i = 0; i < items->size() && fields.ok(); ++i) {
    const std::string path = "input[" + std::to_string(i) + "]";
    const json::object* object = (*items)[i].if_object();
    if (object == nullptr) return fields.FailType(path, (*items)[i], "an object with type");
    Fields item(*object, path + ".");
    ReadItem(item, messages);
    if (!item.ok()) fields.Fail(*item.error());
  }
}

}  // namespace keel::apps

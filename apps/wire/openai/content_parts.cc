#include "apps/wire/openai/content_parts.h"

#include <string>
#include <string_view>

#include "apps/wire/media_parts.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

struct UrlType {
  std::string_view type, modality;
};
constexpr UrlType kUrlTypes[] = {
    {"image_url", "image"}, {"video_url", "video"}, {"audio_url", "audio"}};

void FailMissing(Fields& fields, std::string_view name, std::string_view expected) {
  const std::string path = fields.path() + std::string(name);
  fields.Fail(InvalidField(path, path + " is missing, expected " + std::string(expected)));
}

// A required text within the object `field` of a part.
std::string_view TextWithin(Fields& part, std::string_view field, std::string_view name) {
  const json::object* object = part.Object(field);
  if (object == nullptr) {
    FailMissing(part, field, "an object with " + std::string(name));
    return {};
  }
  Fields inner(*object, part.path() + std::string(field) + ".");
  const auto text = inner.String(name);
  if (!text.has_value()) FailMissing(inner, name, "a string");
  if (!inner.ok()) part.Fail(*inner.error());
  return text.value_or(std::string_view());
}

// "https://...", or {"url": "https://...", "detail": "low"}; how many pixels a model looks at is its
// processor's affair, not the detail's.
std::string_view ReadUrl(Fields& part, std::string_view field) {
  const json::value* value = part.Find(field);
  if (value != nullptr && value->is_string()) return *part.String(field);
  return TextWithin(part, field, "url");
}

json::value ReadPart(Fields& part, const json::object& object) {
  const std::string place = part.path().substr(0, part.path().size() - 1);
  const json::value* type = part.Find("type");
  if (type == nullptr || !type->is_string()) {
    part.Fail(InvalidField(place, place + " has no type, expected for instance "
                                          "{\"type\": \"text\", \"text\": \"...\"}"));
    return nullptr;
  }
  const std::string_view name = *part.String("type");
  if (name == "text") {
    const json::value* text = part.Find("text");
    if (text == nullptr || !text->is_string())
      part.Fail(InvalidField(place, place + " is of type text and has no text"));
    return object;
  }
  for (const UrlType& known : kUrlTypes) {
    if (name == known.type) return MediaPart(known.modality, ReadUrl(part, name), place);
  }
  if (name == "input_audio")
    return MediaPart("audio", DataUrl(TextWithin(part, name, "data")), place);
  part.Fail(NotServed(place, place + ": parts of type " + Quote(name) +
                                 " are not served, expected text, image_url, video_url, audio_url "
                                 "or input_audio"));
  return nullptr;
}

}  // namespace

json::value ReadContent(Fields& message, const json::value& content) {
  if (content.is_string()) return content;
  const json::array* parts = content.if_array();
  if (parts == nullptr) {
    message.FailType("content", content, "a string or a list of parts");
    return nullptr;
  }
  json::array out;
  for (size_t i = 0; i < parts->size() && message.ok(); ++i) {
    const json::object none;
    const json::object* object = (*parts)[i].if_object();
    Fields part(object == nullptr ? none : *object,
                message.path() + "content[" + std::to_string(i) + "].");
    out.push_back(ReadPart(part, object == nullptr ? none : *object));
    if (!part.ok()) message.Fail(*part.error());
  }
  return out;
}

}  // namespace keel::apps

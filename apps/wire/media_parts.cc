#include "apps/wire/media_parts.h"

#include <vector>

namespace keel::apps {
namespace json = boost::json;
namespace {

bool IsMediaPart(const json::value& value) {
  const json::object* part = value.if_object();
  const json::value* type = part == nullptr ? nullptr : part->if_contains("type");
  const bool is_media =
      type != nullptr && (*type == "image" || *type == "video" || *type == "audio");
  return is_media && part->contains("url");
}

// In their order.
std::vector<json::value*> MediaOf(json::array* messages) {
  std::vector<json::value*> all;
  for (json::value& message : *messages) {
    json::value* content = message.get_object().if_contains("content");
    if (content == nullptr || !content->is_array()) continue;
    for (json::value& part : content->get_array())
      if (IsMediaPart(part)) all.push_back(&part);
  }
  return all;
}

}  // namespace

json::object MediaPart(std::string_view modality, std::string_view url, std::string_view place) {
  return {{"type", json::string(modality.data(), modality.size())},
          {"url", json::string(url.data(), url.size())},
          {"place", json::string(place.data(), place.size())}};
}

std::string DataUrl(std::string_view base64) { return "data:;base64," + std::string(base64); }

void SetPlaces(json::array* messages, std::string_view place) {
  for (json::value* value : MediaOf(messages))
    value->get_object()["place"] = json::string(place.data(), place.size());
}

Status MoveMedia(json::array* messages, Request& request) {
  for (json::value* value : MediaOf(messages)) {
    const json::object& part = value->get_object();
    const json::string type = part.at("type").get_string();
    const json::string& url = part.at("url").get_string();
    const Status status = request.AddMediaUrl(type.c_str(), {url.data(), url.size()},
                                              part.at("place").get_string().c_str());
    if (!status.ok()) return status;
    *value = json::object{{"type", type}};
  }
  return Status();
}

}  // namespace keel::apps

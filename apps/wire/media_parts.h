// Images, videos and sounds among the parts of messages.
#ifndef KEEL_APPS_WIRE_MEDIA_PARTS_H_
#define KEEL_APPS_WIRE_MEDIA_PARTS_H_

#include <string>
#include <string_view>

#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What a dialect puts into messages for one that it has read. `place`: where the body has it.
//   {"type": "image", "url": "https://...", "place": "messages[0].content[1]"}
boost::json::object MediaPart(std::string_view modality, std::string_view url,
                              std::string_view place);
// The URL of media that are in the body.
std::string DataUrl(std::string_view base64);

// From now on all media of `messages` are at `place`.
void SetPlaces(boost::json::array* messages, std::string_view place);
// Gives the media of `messages` to `request`, in their order; what stays is for chat templates:
// {"type": "image"}.
Status MoveMedia(boost::json::array* messages, Request& request);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_MEDIA_PARTS_H_

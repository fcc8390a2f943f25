// Bodies of type multipart/form-data (RFC 7578): how browsers and OpenAI's clients send files.
#ifndef KEEL_APPS_SERVER_FORM_DATA_H_
#define KEEL_APPS_SERVER_FORM_DATA_H_

#include <string>
#include <string_view>
#include <vector>

#include "apps/wire/call_error.h"

namespace keel::apps {

// A field; views are into the body.
struct FormField {
  std::string name;
  std::string filename;  // empty: it is no file
  std::string_view content;
};

// `content_type` is the header's value, whose boundary divides the body.
MaybeError ParseFormData(std::string_view content_type, std::string_view body,
                         std::vector<FormField>* fields);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_FORM_DATA_H_

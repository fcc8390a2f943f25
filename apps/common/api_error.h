// What a client is told when its call fails, in OpenAI's shape.
#ifndef KEEL_APPS_COMMON_API_ERROR_H_
#define KEEL_APPS_COMMON_API_ERROR_H_

#include <optional>
#include <string>

#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct ApiError {
  int http_status = 400;
  std::string message = {};
  std::string type = "invalid_request_error";
  std::string param = {};  // the field at fault; empty: none
  std::string code = {};   // for programs ("model_not_found"); empty: none
};

// Empty on success.
using MaybeError = std::optional<ApiError>;

// A field whose value is wrong (400).
ApiError InvalidField(std::string param, std::string message);
// Something that the protocol has and this server does not, yet (501).
ApiError NotServed(std::string param, std::string message);
// The engine's refusal or failure.
ApiError FromEngine(const Status& status, std::string param = "");

// {"error": {"message", "type", "param", "code"}}
boost::json::object ToJson(const ApiError& error);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_API_ERROR_H_

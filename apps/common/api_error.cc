#include "apps/common/api_error.h"

#include <utility>

namespace keel::apps {
namespace {

boost::json::value StringOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return boost::json::value(text);
}

}  // namespace

ApiError InvalidField(std::string param, std::string message) {
  return {.message = std::move(message), .param = std::move(param)};
}

ApiError NotServed(std::string param, std::string message) {
  return {.http_status = 501,
          .message = std::move(message),
          .type = "not_implemented_error",
          .param = std::move(param),
          .code = "not_implemented"};
}

ApiError FromEngine(const Status& status, std::string param) {
  ApiError error{.message = status.message(), .param = std::move(param)};
  switch (status.code()) {
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kFailedPrecondition:
      break;
    case Code::kNotFound:
      error.http_status = 404;
      break;
    case Code::kUnimplemented:
      error.http_status = 501;
      error.type = "not_implemented_error";
      error.code = "not_implemented";
      break;
    case Code::kResourceExhausted:
    case Code::kUnavailable:
    case Code::kCancelled:
      error.http_status = 503;
      error.type = "service_unavailable_error";
      error.code = "overloaded";
      break;
    default:
      error.http_status = 500;
      error.type = "server_error";
  }
  return error;
}

boost::json::object ToJson(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", StringOrNull(error.param)},
            {"code", StringOrNull(error.code)}}}};
}

}  // namespace keel::apps

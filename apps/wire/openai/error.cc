#include "apps/wire/openai/error.h"

#include <string>

#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

struct Words {
  const char* type;
  const char* code;  // for programs; null: none
};

Words WordsOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kBodyTooLarge:
    case ErrorCode::kHeaderTooLarge:
      return {"invalid_request_error", nullptr};
    case ErrorCode::kNotServed:
      return {"invalid_request_error", "not_implemented"};
    case ErrorCode::kUnauthorized:
      return {"invalid_request_error", "invalid_api_key"};
    case ErrorCode::kNotFound:
      return {"invalid_request_error", "not_found"};
    case ErrorCode::kModelNotFound:
      return {"invalid_request_error", "model_not_found"};
    case ErrorCode::kMethodNotAllowed:
      return {"invalid_request_error", "method_not_allowed"};
    case ErrorCode::kConflict:
      return {"invalid_request_error", "conflict"};
    case ErrorCode::kOverloaded:
      return {"service_unavailable_error", "overloaded"};
    case ErrorCode::kUnavailable:
      return {"service_unavailable_error", "unavailable"};
    case ErrorCode::kInternal:
      break;
  }
  return {"server_error", nullptr};
}

boost::json::value StringOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return boost::json::value(text);
}

}  // namespace

boost::json::object OpenAiError(const CallError& error) {
  const Words words = WordsOf(error.code);
  return {{"error",
           {{"message", error.message},
            {"type", words.type},
            {"param", StringOrNull(error.field)},
            {"code", StringOrNull(words.code == nullptr ? "" : words.code)}}}};
}

ErrorBody OpenAiErrorBody(const CallError& error) {
  return {.http_status = HttpStatus(error.code),
          .json = boost::json::serialize(OpenAiError(error))};
}

}  // namespace keel::apps

#include "apps/wire/anthropic/error.h"

#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

constexpr int kOverloadedStatus = 529;

struct Words {
  const char* type;
  int http_status;
};

Words WordsOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthorized:
      return {"authentication_error", 401};
    case ErrorCode::kNotFound:
    case ErrorCode::kModelNotFound:
      return {"not_found_error", 404};
    case ErrorCode::kBodyTooLarge:
      return {"request_too_large", 413};
    case ErrorCode::kOverloaded:
      return {"overloaded_error", kOverloadedStatus};
    case ErrorCode::kUnavailable:
    case ErrorCode::kInternal:
      return {"api_error", HttpStatus(code)};
    default:
      return {"invalid_request_error", HttpStatus(code)};
  }
}

}  // namespace

boost::json::object AnthropicError(const CallError& error) {
  return {{"type", "error"},
          {"error", {{"type", WordsOf(error.code).type}, {"message", error.message}}}};
}

ErrorBody AnthropicErrorBody(const CallError& error) {
  return {.http_status = WordsOf(error.code).http_status,
          .json = boost::json::serialize(AnthropicError(error))};
}

}  // namespace keel::apps

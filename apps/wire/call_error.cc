#include "apps/wire/call_error.h"

#include <utility>

#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {

CallError InvalidField(std::string field, std::string message) {
  return {.message = std::move(message), .field = std::move(field)};
}

CallError NotServed(std::string field, std::string message) {
  return {.code = ErrorCode::kNotServed, .message = std::move(message), .field = std::move(field)};
}

CallError FromEngine(const Status& status, std::string field) {
  if (field.empty()) field = status.field();
  CallError error{.message = status.message(), .field = std::move(field)};
  switch (status.code()) {
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
    case Code::kFailedPrecondition:
      break;
    case Code::kNotFound:
      error.code = ErrorCode::kNotFound;
      break;
    case Code::kUnimplemented:
      error.code = ErrorCode::kNotServed;
      break;
    case Code::kResourceExhausted:
      error.code = ErrorCode::kOverloaded;
      break;
    case Code::kUnavailable:
    case Code::kCancelled:
      error.code = ErrorCode::kUnavailable;
      break;
    default:
      error.code = ErrorCode::kInternal;
  }
  return error;
}

int HttpStatus(ErrorCode code) {
  switch (code) {
    // Not 501: clients repeat a call after any 5xx, and this one stays refused.
    case ErrorCode::kNotServed:
    case ErrorCode::kInvalid:
      return 400;
    case ErrorCode::kUnauthorized:
      return 401;
    case ErrorCode::kNotFound:
    case ErrorCode::kModelNotFound:
      return 404;
    case ErrorCode::kMethodNotAllowed:
      return 405;
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kBodyTooLarge:
      return 413;
    case ErrorCode::kHeaderTooLarge:
      return 431;
    case ErrorCode::kOverloaded:
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

bool MayTryAgain(ErrorCode code) {
  return code == ErrorCode::kOverloaded || code == ErrorCode::kUnavailable;
}

ErrorBody PlainError(const CallError& error) {
  const boost::json::object body = {{"message", error.message}};
  return {.http_status = HttpStatus(error.code), .json = boost::json::serialize(body)};
}

}  // namespace keel::apps

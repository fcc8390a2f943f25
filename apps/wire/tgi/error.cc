#include "apps/wire/tgi/error.h"

#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

struct Words {
  const char* type;
  int http_status;
};

Words WordsOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
    case ErrorCode::kNotServed:
    case ErrorCode::kModelNotFound:
      return {"validation", 422};
    case ErrorCode::kOverloaded:
      return {"overloaded", 429};
    case ErrorCode::kUnavailable:
      return {"healthcheck", 503};
    case ErrorCode::kInternal:
      return {"generation", 424};
    default:
      return {"validation", HttpStatus(code)};
  }
}

}  // namespace

boost::json::object TgiError(const CallError& error) {
  return {{"error", error.message}, {"error_type", WordsOf(error.code).type}};
}

ErrorBody TgiErrorBody(const CallError& error) {
  return {.http_status = WordsOf(error.code).http_status,
          .json = boost::json::serialize(TgiError(error))};
}

}  // namespace keel::apps

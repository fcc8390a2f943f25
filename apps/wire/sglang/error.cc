#include "apps/wire/sglang/error.h"

#include "boost/json/serialize.hpp"

namespace keel::apps {

ErrorBody SglangErrorBody(const CallError& error) {
  const boost::json::object body = {{"error", {{"message", error.message}}}};
  return {.http_status = HttpStatus(error.code), .json = boost::json::serialize(body)};
}

boost::json::object SglangStreamError(const CallError& error) {
  const int status = HttpStatus(error.code);
  return {{"error",
           {{"message", error.message},
            {"type", status < 500 ? "invalid_request_error" : "internal_error"},
            {"code", status},
            {"retryable", MayTryAgain(error.code)}}}};
}

}  // namespace keel::apps

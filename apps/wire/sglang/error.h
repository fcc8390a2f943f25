// Errors as SGLang's native endpoints write them.
#ifndef KEEL_APPS_WIRE_SGLANG_ERROR_H_
#define KEEL_APPS_WIRE_SGLANG_ERROR_H_

#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Of a body: {"error": {"message"}}.
ErrorBody SglangErrorBody(const CallError& error);
// In a stream: {"error": {"message", "type", "code", "retryable"}}.
boost::json::object SglangStreamError(const CallError& error);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_SGLANG_ERROR_H_

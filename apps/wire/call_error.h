// Why a call fails, in no protocol's words: each dialect writes it in its own form.
#ifndef KEEL_APPS_WIRE_CALL_ERROR_H_
#define KEEL_APPS_WIRE_CALL_ERROR_H_

#include <optional>
#include <string>

#include "sdk/keel/engine.h"

namespace keel::apps {

enum class ErrorCode {
  kInvalid,           // the call is wrong and stays so
  kNotServed,         // the protocol has it and this server does not, yet
  kUnauthorized,      // the key is missing or wrong
  kNotFound,          // no such endpoint or object
  kModelNotFound,     // no such model
  kMethodNotAllowed,  // the endpoint takes another HTTP method
  kConflict,          // not in the state that something is in now
  kBodyTooLarge,
  kHeaderTooLarge,
  kOverloaded,   // too much at once; the same call may be taken later
  kUnavailable,  // not serving now: loading, or ending
  kInternal,     // the server's own fault
};

struct CallError {
  ErrorCode code = ErrorCode::kInvalid;
  std::string message = {};
  std::string field = {};  // of the body, at fault; empty: none
};

// Empty on success.
using MaybeError = std::optional<CallError>;

// A field whose value is wrong.
CallError InvalidField(std::string field, std::string message);
// Something that the protocol has and this server does not, yet.
CallError NotServed(std::string field, std::string message);
// The engine's refusal or failure; `field` is what the body calls the field at fault, if that is known
// better than by the engine.
CallError FromEngine(const Status& status, std::string field = "");

// The usual status of HTTP.
int HttpStatus(ErrorCode code);
// The same call may succeed a moment later.
bool MayTryAgain(ErrorCode code);

// An error as a client gets it.
struct ErrorBody {
  int http_status = 500;
  std::string json;
};
using ErrorForm = ErrorBody (*)(const CallError&);
// The form where no dialect has a say: {"message": "..."}.
ErrorBody PlainError(const CallError& error);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_CALL_ERROR_H_

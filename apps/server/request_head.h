// What is taken from the head of a request, made harmless.
#ifndef KEEL_APPS_SERVER_REQUEST_HEAD_H_
#define KEEL_APPS_SERVER_REQUEST_HEAD_H_

#include <string>
#include <string_view>

namespace keel::apps {

// A client's own id is kept if it is short and harmless in headers and logs; else a new one.
std::string RequestId(std::string_view given);

// What a traceparent of the W3C's Trace Context says: which trace a request is part of, and which span of its
// caller's it belongs to. Empty: none was given, or what was is no such thing.
struct TraceContext {
  std::string trace_id, span_id;  // 32 and 16 hexadecimal digits
};
TraceContext ReadTraceParent(std::string_view given);

// "/v1/models/org%2Fname/" -> "/v1/models/org/name". What is no code stays as it is.
std::string DecodePath(std::string_view target);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_REQUEST_HEAD_H_

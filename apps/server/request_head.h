// What is taken from the head of a request, made harmless.
#ifndef KEEL_APPS_SERVER_REQUEST_HEAD_H_
#define KEEL_APPS_SERVER_REQUEST_HEAD_H_

#include <string>
#include <string_view>

namespace keel::apps {

// A client's own id is kept if it is short and harmless in headers and logs; else a new one.
std::string RequestId(std::string_view given);

// "/v1/models/org%2Fname/" -> "/v1/models/org/name". What is no code stays as it is.
std::string DecodePath(std::string_view target);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_REQUEST_HEAD_H_

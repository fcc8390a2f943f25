// Names of requests.
#ifndef KEEL_APPS_COMMON_REQUEST_ID_H_
#define KEEL_APPS_COMMON_REQUEST_ID_H_

#include <string>

namespace keel::apps {

// 32 random hexadecimal digits. May be called from any thread.
std::string NewRequestId();

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_REQUEST_ID_H_

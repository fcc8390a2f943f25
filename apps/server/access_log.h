// A line in the log for each request.
#ifndef KEEL_APPS_SERVER_ACCESS_LOG_H_
#define KEEL_APPS_SERVER_ACCESS_LOG_H_

#include "apps/server/http_options.h"

namespace keel::apps {

// "POST /v1/completions 200 0.132 s 1042 bytes 12+34 tokens 127.0.0.1:40312 id". Never what was asked
// or answered.
void LogAccess(const HttpRecord& record);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_ACCESS_LOG_H_

#include "apps/server/access_log.h"

#include <cstdio>
#include <string>

#include "apps/common/log.h"
#include "boost/json/object.hpp"

namespace keel::apps {
namespace {

constexpr size_t kMaxTarget = 200;

}  // namespace

void LogAccess(const HttpRecord& record) {
  const HttpRequest& request = record.request;
  const std::string target = request.target.substr(0, kMaxTarget);
  boost::json::object fields = {{"method", request.method},
                                {"path", target},
                                {"status", record.status},
                                {"seconds", record.duration.count()},
                                {"response_bytes", record.response_bytes},
                                {"peer", request.peer},
                                {"request_id", request.id}};
  if (!request.trace_id.empty()) {
    fields["trace_id"] = request.trace_id;
    fields["span_id"] = request.span_id;
  }
  char numbers[64];
  std::snprintf(numbers, sizeof(numbers), " %d %.3f s %zu bytes ", record.status,
                record.duration.count(), record.response_bytes);
  std::string tokens;
  if (record.tokens.has_value()) {
    fields["prompt_tokens"] = record.tokens->prompt;
    fields["completion_tokens"] = record.tokens->completion;
    tokens = std::to_string(record.tokens->prompt) + "+" +
             std::to_string(record.tokens->completion) + " tokens ";
  }
  Log(LogLevel::kInfo,
      request.method + " " + target + numbers + tokens + request.peer + " " + request.id, fields);
}

}  // namespace keel::apps

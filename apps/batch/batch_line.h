// The lines of a batch in OpenAI's format: requests in, answers out.
//
//   {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
//   {"id": "...", "custom_id": "a",
//    "response": {"status_code": 200, "request_id": "...", "body": {...}}, "error": null}
//
// A body alone is taken too, {"prompt": ...}, {"messages": ...} or {"input": ...} (embeddings): its
// custom_id is "line-7".
#ifndef KEEL_APPS_BATCH_BATCH_LINE_H_
#define KEEL_APPS_BATCH_BATCH_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct BatchRequest {
  std::optional<std::string> custom_id;  // set whenever it can be read, also beside an error
  std::string url;
  boost::json::object body;
};

// Reads line `number` of the input; nothing is known of `body` but that it is an object.
MaybeError ReadBatchRequest(std::string_view line, int64_t number, BatchRequest* request);
// Makes a call of it, for a model called one of `names`. `engine` must outlive the call.
MaybeError ParseBatchCall(const BatchRequest& request, const std::vector<std::string>& names,
                          const Engine& engine, const std::string& request_id, Call* call);

// Lines of output, with their end. `body` is JSON.
std::string AnsweredLine(const std::string& custom_id, const std::string& request_id,
                         std::string_view body);
std::string FailedLine(const std::optional<std::string>& custom_id, const std::string& request_id,
                       const CallError& error);

enum class OutputKind { kAnswered, kFailed, kNoOutput };
// What a line that an earlier run wrote is; `custom_id` is set for kAnswered.
OutputKind ReadOutputLine(std::string_view line, std::string* custom_id);

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_BATCH_LINE_H_

// The lines of a batch in OpenAI's format: requests in, answers out.
//
//   {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
//   {"id": "...", "custom_id": "a",
//    "response": {"status_code": 200, "request_id": "...", "body": {...}}, "error": null}
//
// A body alone is taken too, {"prompt": ...}, {"messages": ...} or {"input": ...} (embeddings): its
// custom_id is "line-7", as is that of a line without a usable one.
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

// The custom_id of a line that has none of its own.
std::string UnnamedId(int64_t number);
// Reads line `number` of the input; nothing is known of `body` but that it is an object.
MaybeError ReadBatchRequest(std::string_view line, int64_t number, BatchRequest* request);
// Makes a call of it, for a model called one of `names`. `engine` must outlive the call.
MaybeError ParseBatchCall(const BatchRequest& request, const std::vector<std::string>& names,
                          const Engine& engine, const std::string& request_id,
                          const CallLimits& limits, Call* call);

// Lines of output, with their end. `body` is JSON.
std::string AnsweredLine(const std::string& custom_id, const std::string& request_id,
                         std::string_view body);
std::string FailedLine(const std::string& custom_id, const std::string& request_id,
                       const CallError& error);

// Of a line that is not run any more, for a reason that is not its own. `code` is a word for programs.
std::string UnrunLine(const std::string& custom_id, const std::string& request_id,
                      std::string_view code, std::string_view message);

enum class OutputKind { kAnswered, kFailed, kNoOutput };
// A line that an earlier run wrote.
struct OutputLine {
  OutputKind kind = OutputKind::kNoOutput;
  std::optional<std::string> custom_id;
};
OutputLine ReadOutputLine(std::string_view line);
// It begins as lines of output do, so that it may be what a killed process wrote of one.
bool MayBeTorn(std::string_view line);

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_BATCH_LINE_H_

#include "apps/batch/batch_line.h"

#include <algorithm>
#include <utility>

#include "apps/wire/fields.h"
#include "apps/wire/model_field.h"
#include "apps/wire/openai/error.h"
#include "apps/wire/openai/openai.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr char kUrls[] =
    "\"/v1/chat/completions\", \"/v1/completions\", \"/v1/embeddings\" or another endpoint of the "
    "server that answers with JSON";

std::string RequireString(Fields& fields, const char* name, const char* expected) {
  const std::optional<std::string_view> value = fields.String(name);
  if (!value.has_value()) {
    fields.Fail(InvalidField(name, std::string(name) + " is missing, expected " + expected));
  }
  return std::string(value.value_or(""));
}

// Where a line goes that is a body without custom_id, method and url; null: it is none.
const char* UrlOfBareBody(const json::object& line) {
  for (const char* name : {"custom_id", "method", "url", "body"}) {
    if (line.contains(name)) return nullptr;
  }
  if (line.contains("messages")) return "/v1/chat/completions";
  if (line.contains("input")) return "/v1/embeddings";
  return line.contains("prompt") ? "/v1/completions" : nullptr;
}

constexpr std::string_view kBegin = "{\"id\":\"batch_req_";

// `response` and `error` are JSON.
std::string Line(const std::string& custom_id, const std::string& request_id,
                 std::string_view response, std::string_view error) {
  std::string line(kBegin);
  line += request_id + "\",\"custom_id\":" + json::serialize(json::value(custom_id));
  line += ",\"response\":";
  line += response;
  line += ",\"error\":";
  line += error;
  line += "}\n";
  return line;
}

std::string Response(int status_code, const std::string& request_id, std::string_view body) {
  std::string response = "{\"status_code\":" + std::to_string(status_code);
  response += ",\"request_id\":\"" + request_id + "\",\"body\":";
  response += body;
  response += "}";
  return response;
}

}  // namespace

std::string UnnamedId(int64_t number) { return "line-" + std::to_string(number); }

MaybeError ReadBatchRequest(std::string_view line, int64_t number, BatchRequest* request) {
  json::value value;
  if (const MaybeError error = ParseBody(line, &value, "the line")) return error;
  if (const char* url = UrlOfBareBody(value.get_object())) {
    request->custom_id = UnnamedId(number);
    request->url = url;
    request->body = value.get_object();
    return std::nullopt;
  }
  Fields fields(value.get_object());
  std::string custom_id =
      RequireString(fields, "custom_id",
                    "a string of your own, one a line; a body alone has prompt, messages or input");
  if (!fields.ok()) return fields.error();
  request->custom_id = std::move(custom_id);
  if (const std::string method = RequireString(fields, "method", "\"POST\""); method != "POST") {
    fields.Fail(InvalidField("method", "method is \"" + method + "\", expected \"POST\""));
  }
  request->url = RequireString(fields, "url", kUrls);
  if (const json::object* body = fields.Object("body")) {
    request->body = *body;
  } else {
    fields.Fail(InvalidField("body", "body is missing, expected the request as an object"));
  }
  return fields.error();
}

MaybeError ParseBatchCall(const BatchRequest& request, const std::vector<std::string>& names,
                          const Engine& engine, const std::string& request_id,
                          const CallLimits& limits, Call* call) {
  const std::vector<Dialect::Endpoint>& endpoints = OpenAi().endpoints;
  const auto endpoint = std::find_if(endpoints.begin(), endpoints.end(),
                                     [&](const auto& e) { return e.path == request.url; });
  if (endpoint == endpoints.end()) {
    return InvalidField("url", "url is " + Show(json::value(request.url)) + ", expected " + kUrls);
  }
  CallContext context{.engine = engine, .model = {}, .request_id = request_id, .limits = limits};
  if (MaybeError error = ReadModelName(request.body, names, &context.model)) return error;
  if (MaybeError error = endpoint->parse(request.body, context, call)) return error;
  if (call->stream) {
    return InvalidField("stream", "stream is true, expected false: a batch has no streams");
  }
  return std::nullopt;
}

std::string AnsweredLine(const std::string& custom_id, const std::string& request_id,
                         std::string_view body) {
  return Line(custom_id, request_id, Response(200, request_id, body), "null");
}

std::string FailedLine(const std::string& custom_id, const std::string& request_id,
                       const CallError& error) {
  const json::object body = OpenAiError(error);
  return Line(custom_id, request_id,
              Response(HttpStatus(error.code), request_id, json::serialize(body)),
              json::serialize(body.at("error")));
}

std::string UnrunLine(const std::string& custom_id, const std::string& request_id,
                      std::string_view code, std::string_view message) {
  const json::object error = {{"code", json::string_view(code.data(), code.size())},
                              {"message", json::string_view(message.data(), message.size())}};
  return Line(custom_id, request_id, "null", json::serialize(error));
}

OutputLine ReadOutputLine(std::string_view line) {
  json::value value;
  if (ParseBody(line, &value).has_value()) return {};
  Fields fields(value.get_object());
  const json::object* response = fields.Object("response");
  const std::optional<std::string_view> id = fields.String("custom_id");
  const std::optional<int64_t> status =
      response == nullptr ? std::nullopt : Fields(*response).Int("status_code");
  if (!fields.ok() || (!status.has_value() && !fields.Has("error"))) return {};
  OutputLine output;
  const bool is_answer = id.has_value() && !fields.Has("error") && status == 200;
  output.kind = is_answer ? OutputKind::kAnswered : OutputKind::kFailed;
  if (id.has_value()) output.custom_id = std::string(*id);
  return output;
}

bool MayBeTorn(std::string_view line) {
  return line.substr(0, kBegin.size()) == kBegin.substr(0, line.size());
}

}  // namespace keel::apps

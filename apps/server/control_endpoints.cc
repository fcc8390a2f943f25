// POST /abort_request, GET and POST /flush_cache, GET /health_generate: what operators and SGLang's
// clients ask of a server beside text.
#include <memory>
#include <string>
#include <utility>

#include "apps/server/endpoints.h"
#include "apps/wire/fields.h"
#include "boost/json/object.hpp"
#include "boost/json/value.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr int64_t kHealthTimeoutMs = 20'000;

// {"rid"} or {"abort_all": true}. What is not there has ended already.
void AbortRequest(const EndpointContext& context, Exchange& exchange) {
  json::value body;
  if (const MaybeError error = ParseBody(exchange.request().body, &body))
    return RespondError(exchange, *error);
  Fields fields(body.get_object());
  const bool all = fields.Bool("abort_all").value_or(false);
  const auto id = fields.String("rid");
  if (!all && !id.has_value())
    fields.Fail(InvalidField("rid", "rid is missing, expected it or \"abort_all\": true"));
  if (!fields.ok()) return RespondError(exchange, *fields.error());
  const size_t aborted = all ? context.calls.AbortAll() : context.calls.Abort(*id);
  RespondJson(exchange, {{"aborted", aborted}});
}

void FlushCache(const EndpointContext& context, Exchange& exchange) {
  MaybeError error = context.readiness.Refusal();
  context.models.ForEachReady([&](const std::string& id, Engine& engine) {
    if (error.has_value()) return;
    if (const Status status = engine.ResetPrefixCache(); !status.ok()) {
      error = FromEngine(status);
      error->message = "model '" + id + "': " + error->message;
    }
  });
  if (error.has_value()) return RespondError(exchange, *error);
  exchange.Respond({.status = 200, .body = "Cache flushed.\n", .content_type = "text/plain"});
}

// Whatever is wrong, the server is not well.
ErrorBody HealthError(const CallError& error) {
  ErrorBody body = PlainError(error);
  body.http_status = 503;
  return body;
}

// Says nothing but that there was an answer.
class HealthAnswer : public Answer {
 public:
  std::string Body() override { return ""; }

 private:
  void AppendPiece(const Piece&, std::string*) override {}
  void AppendError(const CallError&, std::string*) override {}
  void AppendLast(std::string*) override {}
};

// One token of the first model, or a vector where it gives those.
Result<Request> HealthRequest(const json::object& info) {
  Request request;
  const int32_t token = 0;
  Status status = request.SetPromptTokens({&token, 1});
  const json::value* task = info.if_contains("task");
  if (status.ok() && task != nullptr && task->is_string())
    status = request.SetString("task", std::string(task->get_string()));
  for (const auto& [name, value] : {std::pair("max_tokens", int64_t{1}),
                                    {"ignore_eos", 1},
                                    {"stream", 0},
                                    {"timeout_ms", kHealthTimeoutMs}}) {
    if (status.ok()) status = request.SetInt(name, value);
  }
  if (!status.ok()) return status;
  return request;
}

void HealthGenerate(const EndpointContext& context, const std::shared_ptr<Exchange>& exchange) {
  exchange->set_error_form(HealthError);
  if (const MaybeError error = context.readiness.NotReady()) return RespondError(*exchange, *error);
  const std::string& name = context.models.names().front();
  WithModel(context, name, exchange, [&context, name, exchange](std::shared_ptr<Engine> engine) {
    Result<Request> request = HealthRequest(context.models.Describe(name).info);
    if (!request.ok()) return RespondError(*exchange, FromEngine(request.status()));
    Call call;
    call.requests.push_back(*std::move(request));
    call.answer = std::make_unique<HealthAnswer>();
    const Status status = RunCall(context, std::move(engine), std::move(call), exchange);
    if (!status.ok()) RespondError(*exchange, FromEngine(status));
  });
}

}  // namespace

void AddControlEndpoints(const EndpointContext& context) {
  context.router.Add("POST", "/abort_request",
                     [&context](auto exchange) { AbortRequest(context, *exchange); });
  for (const char* method : {"GET", "POST"}) {
    context.router.Add(method, "/flush_cache",
                       [&context](auto exchange) { FlushCache(context, *exchange); });
  }
  context.router.Add(
      "GET", "/health_generate", [&context](auto exchange) { HealthGenerate(context, exchange); },
      {.access = Router::Access::kPublic, .is_polled = true, .error_form = HealthError});
}

}  // namespace keel::apps

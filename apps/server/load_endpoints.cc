// POST /models/load and POST /models/unload, and waiting for a model that a call needs.
#include <chrono>
#include <string>
#include <utility>

#include "apps/common/log.h"
#include "apps/server/endpoints.h"
#include "apps/wire/fields.h"
#include "apps/wire/model_field.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr int64_t kUnloadSeconds = 30;

// A call that can't have its model: what is wrong with the model is not the client's fault.
CallError NotLoaded(const std::string& name, const Status& status) {
  CallError error = FromEngine(status, "model");
  if (error.code == ErrorCode::kInvalid || error.code == ErrorCode::kNotServed ||
      error.code == ErrorCode::kNotFound) {
    error.code = ErrorCode::kInternal;
  }
  error.message = "model '" + name + "' cannot be loaded: " + error.message;
  LogWarning(error.message);
  return error;
}

void RespondState(const EndpointContext& context, const std::string& name, Exchange& exchange) {
  const ServedModels::State state = context.models.Describe(name);
  RespondJson(exchange, {{"id", name}, {"state", state.state}});
}

// The model that the body names.
MaybeError ReadName(const EndpointContext& context, const json::object& body, std::string* name) {
  if (!body.contains("model")) {
    return InvalidField("model", "model is missing, expected the name of a model");
  }
  return ReadModelName(body, context.models.names(), name);
}

void Load(const EndpointContext& context, const json::object& body, Exchange& exchange) {
  std::string name;
  if (const MaybeError error = ReadName(context, body, &name)) {
    return RespondError(exchange, *error);
  }
  if (const Status status = context.models.Load(name); !status.ok()) {
    return RespondError(exchange, NotLoaded(name, status));
  }
  RespondState(context, name, exchange);
}

void Unload(const EndpointContext& context, const json::object& body, Exchange& exchange) {
  std::string name;
  if (const MaybeError error = ReadName(context, body, &name)) {
    return RespondError(exchange, *error);
  }
  Fields fields(body);
  const int64_t seconds = fields.Int("timeout_seconds").value_or(kUnloadSeconds);
  if (seconds < 0 || seconds > 24 * 3600) {
    fields.Fail(InvalidField("timeout_seconds", "timeout_seconds is " + std::to_string(seconds) +
                                                    ", expected 0 to 86400"));
  }
  if (!fields.ok()) return RespondError(exchange, *fields.error());
  const Status status = context.models.Unload(name, std::chrono::seconds(seconds));
  if (!status.ok()) {
    CallError error = FromEngine(status, "model");
    // In use: not now, but nothing is wrong.
    if (status.code() == Code::kFailedPrecondition || status.code() == Code::kDeadlineExceeded) {
      error.code = ErrorCode::kConflict;
    }
    return RespondError(exchange, error);
  }
  RespondState(context, name, exchange);
}

}  // namespace

void WithModel(const EndpointContext& context, const std::string& name,
               std::shared_ptr<Exchange> exchange,
               std::function<void(std::shared_ptr<Engine> engine)> then) {
  const auto acquire = [&context, name, exchange, then = std::move(then)] {
    Result<std::shared_ptr<Engine>> engine = context.models.Acquire(name);
    if (!engine.ok()) return RespondError(*exchange, NotLoaded(name, engine.status()));
    then(*std::move(engine));
  };
  if (context.models.IsReady(name)) return acquire();
  // Loads take seconds: calls of other models go on meanwhile.
  context.router.Post(
      exchange,
      [&context, name, exchange, acquire] {
        const Status status = context.models.Load(name);
        if (!status.ok()) return RespondError(*exchange, NotLoaded(name, status));
        context.router.Post(exchange, acquire, Router::Lane::kWork);
      },
      Router::Lane::kLoading);
}

void AddLoadEndpoints(const EndpointContext& context) {
  using Endpoint = void (*)(const EndpointContext&, const json::object&, Exchange&);
  const auto add = [&](const char* path, Endpoint endpoint) {
    context.router.Add("POST", path,
                       [&context, endpoint](std::shared_ptr<Exchange> exchange) {
                         json::value body;
                         if (const MaybeError error = ParseBody(exchange->request().body, &body)) {
                           return RespondError(*exchange, *error);
                         }
                         endpoint(context, body.get_object(), *exchange);
                       },
                       {.lane = Router::Lane::kLoading});
  };
  add("/models/load", Load);
  add("/models/unload", Unload);
}

}  // namespace keel::apps

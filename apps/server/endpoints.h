// The endpoints of the server, and what they work with.
#ifndef KEEL_APPS_SERVER_ENDPOINTS_H_
#define KEEL_APPS_SERVER_ENDPOINTS_H_

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "apps/server/metrics_dialect.h"
#include "apps/server/readiness.h"
#include "apps/server/router.h"
#include "apps/server/running_calls.h"
#include "apps/server/served_models.h"
#include "apps/wire/call.h"
#include "apps/wire/dialect.h"

namespace keel::apps {

// How calls are taken and answered, where a server can choose.
struct CallStyle {
  bool strict = false;               // a field that nobody reads is an error, not a warning
  bool incremental_streams = false;  // as CallContext has it
};

// All of it outlives the server's threads.
struct EndpointContext {
  Router& router;
  ServedModels& models;
  const Readiness& readiness;
  RunningCalls& calls;
  const CallLimits limits;
  const CallStyle style = {};
  const MetricsDialect metrics_dialect = MetricsDialect::kVllm;
};

// Each adds the endpoints of one file; the arguments must outlive the server.
// Of all dialects: where several have a path and a body does not say whose it is, it is the first's.
void AddGenerateEndpoints(const EndpointContext& context, std::span<const Dialect* const> dialects);
// /v1/models, /info, /version ...
void AddModelEndpoints(const EndpointContext& context);
// /, /page/...: what browsers are given
void AddPageEndpoints(const EndpointContext& context);
// /v1/responses/{id}
void AddResponseEndpoints(const EndpointContext& context);
// /models/load, /models/unload
void AddLoadEndpoints(const EndpointContext& context);
// /abort_request, /flush_cache, /health_generate
void AddControlEndpoints(const EndpointContext& context);
// /tokenize, /detokenize
void AddTokenEndpoints(const EndpointContext& context);

// Answers a call, now or later; not ok: the engine refused it, and nothing was answered.
Status RunCall(const EndpointContext& context, std::shared_ptr<Engine> engine, Call call,
               const std::shared_ptr<Exchange>& exchange);
// Runs `then` with the model's engine, now or, if it has to be loaded first, when it is; answers with
// an error if it cannot be. The model stays loaded while somebody has the engine.
void WithModel(const EndpointContext& context, const std::string& name,
               std::shared_ptr<Exchange> exchange,
               std::function<void(std::shared_ptr<Engine> engine)> then);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_ENDPOINTS_H_

#include "apps/server/monitoring.h"

#include <string>
#include <utility>
#include <vector>

#include "apps/server/metrics_dialect.h"
#include "apps/server/metrics_text.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace keel::apps {

// Names and labels as the usual instrumentation of vLLM's server has them.
class Monitoring::Metrics {
 public:
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("http_requests_total")
          .Help("Requests by endpoint, method and status.")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& durations =
      prometheus::BuildHistogram()
          .Name("http_request_duration_seconds")
          .Help("Time from a request's last byte in to its answer's last byte out.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& bytes = prometheus::BuildCounter()
                                                       .Name("http_response_bytes_total")
                                                       .Help("Bytes of answers.")
                                                       .Register(registry);
};

Monitoring::Monitoring(const EndpointContext& context)
    : context_(context), metrics_(std::make_unique<Metrics>()) {
  const Router::RouteOptions options = {
      .access = Router::Access::kPublic, .lane = Router::Lane::kMonitoring, .is_polled = true};
  const auto health = [this](auto exchange) { Health(*exchange); };
  for (const char* path : {"/health", "/ready", "/ping"}) {
    context.router.Add("GET", path, health, options);
  }
  context.router.Add("POST", "/ping", health, options);
  context.router.Add(
      "GET", "/live", [this](auto exchange) { Live(*exchange); }, options);
  context.router.Add(
      "GET", "/metrics", [this](auto exchange) { Expose(*exchange); }, options);
}

Monitoring::~Monitoring() = default;

MaybeError Monitoring::EngineError() const {
  MaybeError error;
  context_.models.ForEachReady([&](const std::string& id, Engine& engine) {
    if (const Status status = engine.Check(); !status.ok() && !error.has_value()) {
      error = CallError{.code = ErrorCode::kUnavailable,
                        .message = "model '" + id + "': " + status.message()};
    }
  });
  return error;
}

void Monitoring::Health(Exchange& exchange) const {
  MaybeError error = context_.readiness.NotReady();
  if (!error.has_value()) error = EngineError();
  if (error.has_value()) return RespondError(exchange, *error);
  exchange.Respond({.status = 200, .content_type = {}});
}

// A server that loads or ends is well: to start another in its place would help nobody.
void Monitoring::Live(Exchange& exchange) const {
  if (const MaybeError error = EngineError()) return RespondError(exchange, *error);
  exchange.Respond({.status = 200, .content_type = {}});
}

void Monitoring::Expose(Exchange& exchange) const {
  std::vector<std::string> texts;
  context_.models.ForEachReady([&](const std::string& /*id*/, Engine& engine) {
    if (auto text = engine.Metrics(); text.ok()) texts.push_back(*std::move(text));
  });
  texts.push_back(prometheus::TextSerializer().Serialize(metrics_->registry.Collect()));
  exchange.Respond({.status = 200,
                    .body = RenameMetrics(JoinMetrics(texts), context_.metrics_dialect),
                    .content_type = "text/plain; version=0.0.4; charset=utf-8"});
}

void Monitoring::Observe(const HttpRecord& record) {
  const std::string handler = context_.router.Label(record.request.path);
  // Methods come from the client: only what a route could take becomes a label.
  const std::string& method = record.request.method;
  const bool is_known = method == "GET" || method == "POST" || method == "OPTIONS";
  metrics_->requests
      .Add({{"handler", handler},
            {"method", is_known ? method : "other"},
            {"status", std::to_string(record.status)}})
      .Increment();
  metrics_->durations
      .Add({{"handler", handler}},
           prometheus::Histogram::BucketBoundaries{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5,
                                                   10, 30, 60, 120, 300})
      .Observe(record.duration.count());
  metrics_->bytes.Add({{"handler", handler}}).Increment(static_cast<double>(record.response_bytes));
}

}  // namespace keel::apps

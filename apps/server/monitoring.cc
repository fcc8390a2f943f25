#include "apps/server/monitoring.h"

#include <string>

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

Monitoring::Monitoring(Router& router, const ServingSlot& slot)
    : router_(router), slot_(slot), metrics_(std::make_unique<Metrics>()) {
  const auto health = [this](auto exchange) { Health(*exchange); };
  const auto expose = [this](auto exchange) { Expose(*exchange); };
  router.Add("GET", "/health", health, Router::Access::kPublic);
  router.Add("GET", "/ping", health, Router::Access::kPublic);
  router.Add("POST", "/ping", health, Router::Access::kPublic);
  router.Add("GET", "/metrics", expose, Router::Access::kPublic);
}

Monitoring::~Monitoring() = default;

void Monitoring::Health(Exchange& exchange) const {
  Serving* const serving = slot_.GetOrRefuse(exchange);
  if (serving == nullptr) return;
  if (const Status status = serving->engine.Check(); !status.ok()) {
    return RespondError(exchange, FromEngine(Status(Code::kUnavailable, status.message())));
  }
  exchange.Respond({.status = 200, .content_type = {}});
}

void Monitoring::Expose(Exchange& exchange) const {
  std::string text;
  if (Serving* const serving = slot_.Get()) {
    if (auto engine_text = serving->engine.Metrics(); engine_text.ok()) {
      text = *std::move(engine_text);
      if (!text.ends_with('\n')) text += '\n';
    }
  }
  text += prometheus::TextSerializer().Serialize(metrics_->registry.Collect());
  exchange.Respond({.status = 200,
                    .body = std::move(text),
                    .content_type = "text/plain; version=0.0.4; charset=utf-8"});
}

void Monitoring::Observe(const HttpRecord& record) {
  const std::string handler = router_.Label(record.request.path);
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

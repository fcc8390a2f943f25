// GET /health, /ready, /live, /ping, /metrics, and the server's own metrics.
#ifndef KEEL_APPS_SERVER_MONITORING_H_
#define KEEL_APPS_SERVER_MONITORING_H_

#include <memory>

#include "apps/server/endpoints.h"
#include "apps/server/http_server.h"

namespace keel::apps {

class Monitoring {
 public:
  // Adds the endpoints. `context` must outlive the server, as must this object.
  explicit Monitoring(const EndpointContext& context);
  ~Monitoring();

  // Counts a finished exchange. May be called from any thread.
  void Observe(const HttpRecord& record);

 private:
  class Metrics;
  // What is wrong with an engine, if something is.
  MaybeError EngineError() const;
  void Health(Exchange& exchange) const;
  void Live(Exchange& exchange) const;
  void Expose(Exchange& exchange) const;

  const EndpointContext& context_;
  std::unique_ptr<Metrics> metrics_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_MONITORING_H_

// GET /health, GET /ping, GET /metrics, and the server's own metrics.
#ifndef KEEL_APPS_SERVER_MONITORING_H_
#define KEEL_APPS_SERVER_MONITORING_H_

#include <memory>

#include "apps/server/http_server.h"
#include "apps/server/router.h"
#include "apps/server/serving.h"

namespace keel::apps {

class Monitoring {
 public:
  // Adds the endpoints. Both arguments must outlive the server, as must this object.
  Monitoring(Router& router, const ServingSlot& slot);
  ~Monitoring();

  // Counts a finished exchange. May be called from any thread.
  void Observe(const HttpRecord& record);

 private:
  class Metrics;
  void Health(Exchange& exchange) const;
  void Expose(Exchange& exchange) const;

  const Router& router_;
  const ServingSlot& slot_;
  std::unique_ptr<Metrics> metrics_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_MONITORING_H_

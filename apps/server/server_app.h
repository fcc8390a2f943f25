// The whole server but its flags and signals: what main runs and tests start.
#ifndef KEEL_APPS_SERVER_SERVER_APP_H_
#define KEEL_APPS_SERVER_SERVER_APP_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "apps/server/endpoints.h"
#include "apps/server/heap_trimmer.h"
#include "apps/server/http_server.h"
#include "apps/server/monitoring.h"
#include "apps/server/offline_jobs.h"
#include "apps/server/readiness.h"
#include "apps/server/router.h"
#include "apps/server/running_calls.h"
#include "apps/server/served_models.h"

namespace keel::apps {

struct ServerOptions {
  HttpOptions http;
  RouterOptions router;
  CallLimits limits;
  CallStyle style;
  std::string api_dialect;  // whose a body is that several dialects could read; empty: any
  bool access_log = true;
  OfflineOptions offline;
  MetricsDialect metrics_dialect = MetricsDialect::kVllm;
};

class ServerApp {
 public:
  // Takes the address and answers 503 until SetReady. `models` has at least one.
  static Result<std::unique_ptr<ServerApp>> Start(const ServerOptions& options,
                                                  std::unique_ptr<ServedModels> models);
  // Ends all connections, then frees the models. What still runs is cancelled.
  ~ServerApp();

  // Calls are served from now on.
  void SetReady();
  ServedModels& models() { return *models_; }
  uint16_t port() const { return http_->port(); }
  // Shows the certificate as its files are now.
  Status ReloadTls() { return http_->ReloadTls(); }
  size_t num_calls() const { return calls_.size(); }
  const Router& router() const { return router_; }

  // Says to whoever asks that others should be asked instead; still serves.
  void BeginEnd() { readiness_.Set(Readiness::State::kEnding); }
  // Takes nothing new and answers what runs, at most for `timeout`; what is not done then is told so.
  void Drain(std::chrono::milliseconds timeout);

 private:
  ServerApp(const ServerOptions& options, std::unique_ptr<ServedModels> models);

  const std::unique_ptr<ServedModels> models_;
  Readiness readiness_;
  RunningCalls calls_;
  Router router_;
  const EndpointContext context_;
  std::unique_ptr<OfflineJobs> offline_;  // null: there are none
  Monitoring monitoring_;
  HeapTrimmer trimmer_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_SERVER_APP_H_

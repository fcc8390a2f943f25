// The whole server but its flags and signals: what main runs and tests start.
#ifndef KEEL_APPS_SERVER_SERVER_APP_H_
#define KEEL_APPS_SERVER_SERVER_APP_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "apps/server/http_server.h"
#include "apps/server/monitoring.h"
#include "apps/server/router.h"
#include "apps/server/serving.h"

namespace keel::apps {

struct ServerOptions {
  HttpOptions http;
  RouterOptions router;
  bool access_log = true;
};

class ServerApp {
 public:
  // Takes the address and answers 503 until there is a model.
  static Result<std::unique_ptr<ServerApp>> Start(const ServerOptions& options);
  // Ends all connections, then frees the engine. What still runs is cancelled.
  ~ServerApp();

  void Serve(Engine engine, ServedModel model);
  uint16_t port() const { return http_->port(); }
  // Answers what runs, at most for `timeout`; takes nothing new.
  void Drain(std::chrono::milliseconds timeout) { http_->Drain(timeout); }

 private:
  explicit ServerApp(const ServerOptions& options);

  std::unique_ptr<Serving> serving_;
  ServingSlot slot_;
  Router router_;
  Monitoring monitoring_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_SERVER_APP_H_

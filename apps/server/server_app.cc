#include "apps/server/server_app.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "apps/common/log.h"
#include "apps/server/dialects.h"

namespace keel::apps {
namespace {

// "POST /v1/completions 200 0.132 s 1042 bytes 12+34 tokens 127.0.0.1:40312 id"
void LogAccess(const HttpRecord& record) {
  char numbers[64];
  std::snprintf(numbers, sizeof(numbers), " %d %.3f s %zu bytes ", record.status,
                record.duration.count(), record.response_bytes);
  const HttpRequest& request = record.request;
  LogInfo(request.method + " " + request.path.substr(0, 200) + numbers +
          (record.note.empty() ? "" : record.note + " ") + request.peer + " " + request.id);
}

}  // namespace

ServerApp::ServerApp(const ServerOptions& options)
    : router_(options.router), monitoring_(router_, slot_) {
  for (const Dialect* dialect : Dialects()) AddGenerateEndpoints(router_, slot_, *dialect);
  AddModelEndpoints(router_, slot_);
  AddTokenEndpoints(router_, slot_);
}

Result<std::unique_ptr<ServerApp>> ServerApp::Start(const ServerOptions& options) {
  std::unique_ptr<ServerApp> app(new ServerApp(options));
  HttpOptions http_options = options.http;
  http_options.error_form = Dialects().front()->error_form;
  auto http = HttpServer::Start(
      http_options,
      [app = app.get()](std::shared_ptr<Exchange> exchange) {
        app->router_.Handle(std::move(exchange));
      },
      [app = app.get(), access_log = options.access_log](const HttpRecord& record) {
        app->monitoring_.Observe(record);
        if (access_log) LogAccess(record);
      });
  if (!http.ok()) return http.status();
  app->http_ = *std::move(http);
  return app;
}

ServerApp::~ServerApp() {
  http_ = nullptr;  // clients are gone: their requests are cancelled
  slot_.Set(nullptr);
  if (serving_ != nullptr && !serving_->WaitUntilUnused(std::chrono::seconds(10))) {
    LogError("requests did not end in time");
    std::_Exit(0);
  }
  router_.Join();
}

void ServerApp::Serve(Engine engine, ServedModel model) {
  serving_ = std::make_unique<Serving>(std::move(engine), std::move(model));
  slot_.Set(serving_.get());
}

}  // namespace keel::apps

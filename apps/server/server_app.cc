#include "apps/server/server_app.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "apps/common/log.h"
#include "apps/server/access_log.h"
#include "apps/server/dialects.h"

namespace keel::apps {
namespace {

constexpr size_t kLargeBytes = 256 << 10;  // of a body whose memory is worth looking for

}  // namespace

ServerApp::ServerApp(const ServerOptions& options, std::unique_ptr<ServedModels> models)
    : models_(std::move(models)),
      router_(options.router),
      context_{.router = router_,
               .models = *models_,
               .readiness = readiness_,
               .calls = calls_,
               .limits = options.limits,
               .style = options.style,
               .metrics_dialect = options.metrics_dialect},
      monitoring_(context_) {
  AddGenerateEndpoints(context_, DialectsFrom(options.api_dialect));
  AddResponseEndpoints(context_);
  AddModelEndpoints(context_);
  AddPageEndpoints(context_);
  AddLoadEndpoints(context_);
  AddControlEndpoints(context_);
  AddTokenEndpoints(context_);
}

Result<std::unique_ptr<ServerApp>> ServerApp::Start(const ServerOptions& options,
                                                    std::unique_ptr<ServedModels> models) {
  std::unique_ptr<ServerApp> app(new ServerApp(options, std::move(models)));
  if (!options.offline.files_dir.empty()) {
    auto offline = OfflineJobs::Open(options.offline, app->context_);
    if (!offline.ok()) return offline.status();
    app->offline_ = *std::move(offline);
  }
  AddFileEndpoints(app->router_, app->offline_.get());
  AddBatchEndpoints(app->router_, app->offline_.get());
  HttpOptions http_options = options.http;
  http_options.error_form = Dialects().front()->error_form;
  if (app->offline_ != nullptr) {
    http_options.uploads = {.folder = options.offline.files_dir,
                            .max_bytes = static_cast<size_t>(options.offline.max_batch_file_bytes),
                            .is_upload = [app = app.get()](const HttpRequest& head) {
                              return head.method == "POST" && head.path == kFilesPath &&
                                     app->router_.MayPass(head);
                            }};
  }
  auto http = HttpServer::Start(
      http_options,
      [app = app.get()](std::shared_ptr<Exchange> exchange) {
        app->router_.Handle(std::move(exchange));
      },
      [app = app.get(), access_log = options.access_log](const HttpRecord& record) {
        app->monitoring_.Observe(record);
        if (std::max(record.request.body.size(), record.response_bytes) > kLargeBytes) {
          app->trimmer_.TrimSoon();
        }
        // What is polled all the time says something only when something is wrong.
        const bool is_well = record.status == 200 || record.status == 304;
        const bool is_poll = is_well && app->router_.IsPolled(record.request.path);
        if (access_log && !is_poll) LogAccess(record);
      });
  if (!http.ok()) return http.status();
  app->http_ = *std::move(http);
  return app;
}

void ServerApp::SetReady() {
  readiness_.Set(Readiness::State::kServing);
  if (offline_ != nullptr) offline_->queue().Start();
}

ServerApp::~ServerApp() {
  readiness_.Set(Readiness::State::kEnded);
  if (offline_ != nullptr) offline_->queue().Close();
  http_ = nullptr;  // clients are gone: their requests are cancelled
  const bool is_closed = models_->Close(std::chrono::seconds(10));
  router_.Join();
  // A call that was just being read may have come in between.
  if (!is_closed || !models_->Close(std::chrono::seconds(10))) {
    LogError("requests did not end in time");
    std::_Exit(0);
  }
}

void ServerApp::Drain(std::chrono::milliseconds timeout) {
  readiness_.Set(Readiness::State::kEnding);
  if (offline_ != nullptr) offline_->queue().Close();  // the next server goes on with them
  if (http_->Drain(timeout)) return;
  calls_.EndAll(
      {.code = ErrorCode::kUnavailable,
       .message = "the server is ending and the request was not done in time; ask again"});
  http_->Drain(std::chrono::seconds(2));
}

}  // namespace keel::apps

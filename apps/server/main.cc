// keel-server: serves models over HTTP, in OpenAI's wire formats.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "apps/common/programs.h"
#include "apps/common/signals.h"
#include "apps/server/model_flags.h"
#include "apps/server/offline_flags.h"
#include "apps/server/server_app.h"
#include "apps/server/server_flags.h"
#include "boost/json/object.hpp"

namespace keel::apps {
namespace {

constexpr int kFailed = 1, kWrongFlags = 2;

bool IsTrue(const boost::json::object& info, const char* key) {
  const boost::json::value* value = info.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

struct Example {
  const char* path;
  const char* body;
};
Example ExampleFor(boost::json::string_view task, bool has_chat_template) {
  if (task == "embed") return {"v1/embeddings", R"({"input":"Once upon a time"})"};
  if (task == "classify") return {"classify", R"({"input":"Once upon a time"})"};
  if (has_chat_template) {
    return {"v1/chat/completions", R"({"messages":[{"role":"user","content":"Define: river"}]})"};
  }
  return {"v1/completions", R"({"prompt":"Once upon a time","max_tokens":32})"};
}

// Where clients reach it: "http://127.0.0.1:8000".
std::string UrlOf(const HttpOptions& http, uint16_t port) {
  const std::string scheme = http.ssl_certificate.empty() ? "http://" : "https://";
  if (!http.uds.empty()) return scheme + "localhost";
  const bool is_any = http.host == "0.0.0.0" || http.host == "::";
  std::string host = is_any ? "127.0.0.1" : http.host;
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return scheme + host + ":" + std::to_string(port);
}

// The first line on stdout: something to try.
void PrintCurl(const HttpOptions& http, const std::string& url, bool has_key,
               const boost::json::object& info) {
  const boost::json::value* task = info.if_contains("task");
  const Example example = ExampleFor(task == nullptr ? "generate" : task->get_string(),
                                     IsTrue(info, "has_chat_template"));
  const std::string socket =
      http.uds.empty() ? "" : "--unix-socket " + std::filesystem::absolute(http.uds).string() + " ";
  std::printf("curl %s%s/%s -H 'Content-Type: application/json' %s-d '%s'\n", socket.c_str(),
              url.c_str(), example.path, has_key ? "-H 'Authorization: Bearer YOUR_KEY' " : "",
              example.body);
  std::fflush(stdout);
}

// A connection is a file: as many as the system lets this process have.
void AllowManyFiles() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int Fail(const Status& status, int code = kFailed) {
  ReleaseLog();
  std::cerr << "keel-server: " << status.message() << "\n";
  return code;
}

// Whose certificate SIGHUP has read again; null before it serves and once it ends.
std::mutex serving_mutex;
ServerApp* serving = nullptr;

void SetServing(ServerApp* app) {
  std::lock_guard lock(serving_mutex);
  serving = app;
}

void ReloadCertificate() {
  std::lock_guard lock(serving_mutex);
  if (serving == nullptr) return;
  const Status status = serving->ReloadTls();
  if (status.ok()) {
    LogInfo("the certificate's files were read again");
  } else {
    LogError("the certificate stays as it was: " + status.message());
  }
}

// Says every few seconds what an end waits for, so that it is not taken for a hang.
std::jthread ReportWhileEnding(const ServerApp& app, const ServerFlags& flags) {
  return std::jthread([&app, seconds = flags.drain_seconds](std::stop_token stop) {
    const auto start = std::chrono::steady_clock::now();
    for (int ticks = 0; !stop.stop_requested(); ++ticks) {
      const size_t calls = app.num_calls();
      if (calls > 0 && ticks % 50 == 0) {
        const auto passed = std::chrono::duration_cast<std::chrono::seconds>(
            std::chrono::steady_clock::now() - start);
        LogInfo("ending: " + std::to_string(calls) + " requests run, at most " +
                std::to_string(std::max<int64_t>(0, seconds - passed.count())) +
                " s more; Ctrl-C ends at once");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
}

}  // namespace

int ServerMain(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  ServerFlags flags;
  CommandLine command_line("keel-server",
                           "Serves models over HTTP, in OpenAI's wire formats. Without --model: "
                           "the demo model.\n\n--model may be repeated, and is "
                           "[NAME=]PATH[,OPTION=VALUE...][,pinned]: calls choose by the field "
                           "\"model\"; options are flags of that model alone. The first model is "
                           "loaded at the start, as pinned ones are, the others when a call needs "
                           "them.");
  AddServerFlags(command_line.app(), &flags);
  AddOfflineFlags(command_line, &flags.server.offline);
  command_line.AddEngineFlags(/*takes_model_as_word=*/true);
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  if (Status status = FinishServerFlags(&flags); !status.ok()) return Fail(status, kWrongFlags);
  CompleteOfflineFlags(command_line, &flags.server.offline);
  flags.server.limits.max_sequences =
      command_line.EngineNumber("max-num-seqs") + command_line.EngineNumber("max-queued-requests");
  SetLogFormat(flags.log_format);
  AllowManyFiles();
  auto configs = ReadModelFlags(command_line, demo_model, flags.names);
  if (!configs.ok()) return Fail(configs.status());

  if (!flags.server.http.ssl_certificate.empty()) HandleReloadSignal(ReloadCertificate);
  static std::atomic<bool> loading = true;
  static std::binary_semaphore stop(0);
  HandleStopSignals([] {
    if (loading) std::_Exit(0);
    LogInfo("ending; once more ends at once");
    stop.release();
  });

  // The curl is the first line: what is said while models load comes after it.
  HoldLog();
  auto models = ServedModels::Create(flags.models_memory_bytes);
  if (!models.ok()) return Fail(models.status());
  std::vector<std::string> at_start;
  for (ModelConfig& config : *configs) {
    if (at_start.empty() || config.is_pinned) at_start.push_back(config.names.front());
    if (Status status = (*models)->Add(std::move(config)); !status.ok()) return Fail(status);
  }
  // The address before the models: whether it can be had is known at once, they take longer.
  auto app = ServerApp::Start(flags.server, *std::move(models));
  if (!app.ok()) return Fail(app.status());
  for (const std::string& name : at_start) {
    if (Status status = (*app)->models().Load(name); !status.ok()) return Fail(status);
  }
  (*app)->SetReady();
  loading = false;
  const HttpOptions& http = flags.server.http;
  const std::string url = UrlOf(http, (*app)->port());
  PrintCurl(http, url, !flags.server.router.api_keys.empty(),
            (*app)->models().Describe(at_start.front()).info);
  ReleaseLog();
  LogInfo("serving on " + (http.uds.empty() ? url : http.uds));
  SetServing(app->get());

  stop.acquire();
  SetServing(nullptr);
  (*app)->BeginEnd();
  std::this_thread::sleep_for(std::chrono::seconds(flags.shutdown_delay_seconds));
  const std::jthread report = ReportWhileEnding(**app, flags);
  (*app)->Drain(std::chrono::seconds(flags.drain_seconds));
  return 0;
}

}  // namespace keel::apps

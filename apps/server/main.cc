// keel-server: serves one model over HTTP, in OpenAI's wire formats.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "apps/common/signals.h"
#include "apps/server/server_app.h"

namespace keel::apps {
namespace {

struct Flags {
  ServerOptions server;
  std::vector<std::string> names;
  std::vector<std::string> api_keys;
  int drain_seconds = 30;
};

void AddFlags(CLI::App& app, Flags* flags) {
  HttpOptions& http = flags->server.http;
  constexpr char kGroup[] = "Server";
  app.add_option("--host", http.host, "Address to listen on. 0.0.0.0 is every one of this machine.")
      ->type_name("ADDRESS")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--port", http.port, "TCP port; 0 picks a free one.")
      ->type_name("PORT")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--served-model-name", flags->names,
                 "Name that clients call the model by. May be repeated; the first is the one in "
                 "responses.")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->default_str("as --model");
  app.add_option("--api-key", flags->api_keys,
                 "Key that clients must send as 'Authorization: Bearer KEY'. May be repeated. Also "
                 "from KEEL_API_KEY, which other users of the machine do not see.")
      ->type_name("KEY")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->envname("KEEL_API_KEY");
  app.add_option("--allowed-origin", flags->server.router.allowed_origins,
                 "Origin of web pages that may use this server. May be repeated; '*' is all.")
      ->type_name("ORIGIN")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->default_str("none");
  app.add_option("--max-body-bytes", http.max_body_bytes, "Longest body of a request, in bytes.")
      ->type_name("BYTES")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--drain-seconds", flags->drain_seconds,
                 "How long running requests may go on after Ctrl-C. A second Ctrl-C ends at once.")
      ->type_name("SECONDS")
      ->group(kGroup)
      ->capture_default_str();
  app.add_flag("--access-log,!--no-access-log", flags->server.access_log,
               "A line on stderr for each request.")
      ->group(kGroup)
      ->default_str("true");
}

// The first line on stdout: something to try.
void PrintCurl(const std::string& host, uint16_t port, bool has_key) {
  const bool is_any = host == "0.0.0.0" || host == "::";
  std::string shown = is_any ? "127.0.0.1" : host;
  if (shown.find(':') != std::string::npos) shown = "[" + shown + "]";
  std::printf(
      "curl http://%s:%d/v1/chat/completions -H 'Content-Type: application/json' %s"
      "-d '{\"messages\":[{\"role\":\"user\",\"content\":\"Define: river\"}]}'\n",
      shown.c_str(), port, has_key ? "-H 'Authorization: Bearer YOUR_KEY' " : "");
  std::fflush(stdout);
}

int Fail(const Status& status) {
  std::cerr << "keel-server: " << status.message() << "\n";
  return 1;
}

int Main(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  Flags flags;
  CommandLine command_line("keel-server",
                           "Serves a model over HTTP, in OpenAI's wire formats. Without --model: "
                           "the demo model.");
  AddFlags(command_line.app(), &flags);
  command_line.AddEngineFlags();
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  flags.server.router.api_keys = flags.api_keys;

  static std::atomic<bool> loading = true;
  static std::binary_semaphore stop(0);
  HandleStopSignals([] {
    if (loading) std::_Exit(0);
    LogInfo("ending; once more ends at once");
    stop.release();
  });

  // The address first: whether it can be had is known at once, the model takes longer.
  auto app = ServerApp::Start(flags.server);
  if (!app.ok()) return Fail(app.status());
  auto loaded = LoadModel(command_line, demo_model, flags.names);
  if (!loaded.ok()) return Fail(loaded.status());
  (*app)->Serve(std::move(loaded->engine), std::move(loaded->model));
  loading = false;
  PrintCurl(flags.server.http.host, (*app)->port(), !flags.api_keys.empty());
  LogInfo("serving on http://" + flags.server.http.host + ":" + std::to_string((*app)->port()));

  stop.acquire();
  (*app)->Drain(std::chrono::seconds(flags.drain_seconds));
  return 0;
}

}  // namespace
}  // namespace keel::apps

int main(int argc, char** argv) { return keel::apps::Main(argc, argv); }

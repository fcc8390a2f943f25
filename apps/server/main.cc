// keel-server: serves models over HTTP, in OpenAI's wire formats.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "apps/common/signals.h"
#include "apps/server/dialects.h"
#include "apps/server/model_flags.h"
#include "apps/server/offline_flags.h"
#include "apps/server/server_app.h"
#include "boost/json/object.hpp"

namespace keel::apps {
namespace {

struct Flags {
  ServerOptions server;
  std::vector<std::string> names;
  std::vector<std::string> api_keys;
  int64_t models_memory_bytes = 0;
  int drain_seconds = 30;
  int shutdown_delay_seconds = 0;
};

void AddModelFlags(CLI::App& app, Flags* flags) {
  constexpr char kGroup[] = "Models";
  app.add_option("--served-model-name", flags->names,
                 "Name that clients call the model by, where there is one model. May be repeated; "
                 "the first is the one in responses.")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->default_str("as --model");
  app.add_option("--models-memory-bytes", flags->models_memory_bytes,
                 "What weights and caches of all models may take together. Models that are not "
                 "pinned are unloaded, the least recently used first, when another needs the room. "
                 "0: what is free at the start.")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false).description(""))
      ->type_name("BYTES")
      ->group(kGroup)
      ->capture_default_str();
}

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
  app.add_option("--max-logprobs", flags->server.limits.max_logprobs,
                 "Most alternatives of a token that a request may ask for; -1: all of the "
                 "vocabulary.")
      ->type_name("N")
      ->check(CLI::Range(-1, 1 << 24).description(""))
      ->group(kGroup)
      ->capture_default_str();
  std::vector<std::string> dialects;
  for (const Dialect* dialect : Dialects()) dialects.emplace_back(dialect->name);
  app.add_option(
         "--api-dialect", flags->server.api_dialect,
         "Whose protocol a body is in where several have the path and the body does not say: "
         "POST /generate is text-generation-inference's and SGLang's.")
      ->type_name("NAME")
      ->check(CLI::IsMember(dialects))
      ->group(kGroup)
      ->default_str("tgi");
  app.add_option("--drain-seconds", flags->drain_seconds,
                 "How long running requests may go on after Ctrl-C. A second Ctrl-C ends at once.")
      ->type_name("SECONDS")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--shutdown-delay-seconds", flags->shutdown_delay_seconds,
                 "How long the server goes on as before after Ctrl-C or SIGTERM, while /ready and "
                 "/health already answer 503: the time that a balancer needs to choose others.")
      ->type_name("SECONDS")
      ->group(kGroup)
      ->capture_default_str();
  app.add_flag("--access-log,!--no-access-log", flags->server.access_log,
               "A line on stderr for each request, but not for polls of /health and the like that "
               "found all well.")
      ->group(kGroup)
      ->default_str("true");
}

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

// The first line on stdout: something to try.
void PrintCurl(const std::string& host, uint16_t port, bool has_key,
               const boost::json::object& info) {
  const boost::json::value* task = info.if_contains("task");
  const Example example = ExampleFor(task == nullptr ? "generate" : task->get_string(),
                                     IsTrue(info, "has_chat_template"));
  const bool is_any = host == "0.0.0.0" || host == "::";
  std::string shown = is_any ? "127.0.0.1" : host;
  if (shown.find(':') != std::string::npos) shown = "[" + shown + "]";
  std::printf("curl http://%s:%d/%s -H 'Content-Type: application/json' %s-d '%s'\n", shown.c_str(),
              port, example.path, has_key ? "-H 'Authorization: Bearer YOUR_KEY' " : "",
              example.body);
  std::fflush(stdout);
}

int Fail(const Status& status) {
  ReleaseLog();
  std::cerr << "keel-server: " << status.message() << "\n";
  return 1;
}

// Says every few seconds what an end waits for, so that it is not taken for a hang.
std::jthread ReportWhileEnding(const ServerApp& app, const Flags& flags) {
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

int Main(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  Flags flags;
  CommandLine command_line("keel-server",
                           "Serves models over HTTP, in OpenAI's wire formats. Without --model: "
                           "the demo model.\n\n--model may be repeated, and is "
                           "[NAME=]PATH[,OPTION=VALUE...][,pinned]: calls choose by the field "
                           "\"model\"; options are flags of that model alone. The first model is "
                           "loaded at the start, as pinned ones are, the others when a call needs "
                           "them.");
  command_line.AddPositionalModel();
  AddFlags(command_line.app(), &flags);
  AddModelFlags(command_line.app(), &flags);
  AddOfflineFlags(command_line, &flags.server.offline);
  command_line.AddEngineFlags();
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  CompleteOfflineFlags(command_line, &flags.server.offline);
  flags.server.router.api_keys = flags.api_keys;
  flags.server.limits.max_sequences =
      command_line.EngineNumber("max-num-seqs") + command_line.EngineNumber("max-queued-requests");
  auto configs = ReadModelFlags(command_line, demo_model, flags.names);
  if (!configs.ok()) return Fail(configs.status());

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
  PrintCurl(flags.server.http.host, (*app)->port(), !flags.api_keys.empty(),
            (*app)->models().Describe(at_start.front()).info);
  ReleaseLog();
  LogInfo("serving on http://" + flags.server.http.host + ":" + std::to_string((*app)->port()));

  stop.acquire();
  (*app)->BeginEnd();
  std::this_thread::sleep_for(std::chrono::seconds(flags.shutdown_delay_seconds));
  const std::jthread report = ReportWhileEnding(**app, flags);
  (*app)->Drain(std::chrono::seconds(flags.drain_seconds));
  return 0;
}

}  // namespace
}  // namespace keel::apps

int main(int argc, char** argv) { return keel::apps::Main(argc, argv); }

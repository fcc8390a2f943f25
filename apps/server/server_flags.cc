#include "apps/server/server_flags.h"

#include <chrono>
#include <map>
#include <utility>

#include "CLI/CLI.hpp"
#include "apps/server/dialects.h"
#include "boost/json/parse.hpp"

namespace keel::apps {
namespace {

void AddModelFlags(CLI::App& app, ServerFlags* flags) {
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

void AddHttpFlags(CLI::App& app, ServerFlags* flags) {
  HttpOptions& http = flags->server.http;
  constexpr char kGroup[] = "Server";
  app.add_option("--host,--hostname", http.host,
                 "Address to listen on. 0.0.0.0 is every one of this machine.")
      ->type_name("ADDRESS")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("-p,--port", http.port, "TCP port; 0 picks a free one.")
      ->type_name("PORT")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--api-key", flags->server.router.api_keys,
                 "Key that clients must send as 'Authorization: Bearer KEY'. May be repeated. Also "
                 "from KEEL_API_KEY, which other users of the machine do not see.")
      ->type_name("KEY")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->envname("KEEL_API_KEY");
  app.add_option("--allowed-origin,--allowed-origins,--cors-allow-origin",
                 flags->server.router.allowed_origins,
                 "Origin of web pages that may use this server, or a JSON list of such. May be "
                 "repeated; '*' is all.")
      ->type_name("ORIGIN")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->default_str("none");
  app.add_flag("--allow-credentials,!--no-allow-credentials",
               flags->server.router.allow_credentials,
               "Pages of allowed origins may send cookies and other credentials along.")
      ->group(kGroup)
      ->default_str("false");
  app.add_option("--max-body-bytes,--payload-limit", http.max_body_bytes,
                 "Longest body of a request, in bytes.")
      ->type_name("BYTES")
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--max-logprobs,--max-top-n-tokens", flags->server.limits.max_logprobs,
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
         "POST /generate is tgi's and sglang's, POST /v1/chat/completions openai's and tgi's. "
         "Without it: the first of the two.")
      ->type_name("NAME")
      ->check(CLI::IsMember(dialects))
      ->group(kGroup);
  app.add_flag("--strict,!--no-strict", flags->server.style.strict,
               "Refuse a call whose body has a field that nobody reads, instead of a warning in "
               "its answer.")
      ->group(kGroup)
      ->default_str("false");
  app.add_flag("--incremental-streaming-output,--stream-output",
               flags->server.style.incremental_streams,
               "Events of SGLang's /generate have the text and ids that are new, not all so far.")
      ->group(kGroup)
      ->default_str("false");
  app.add_option("--drain-seconds,--shutdown-timeout,--graceful-termination-timeout",
                 flags->drain_seconds,
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

void AddTlsFlags(CLI::App& app, ServerFlags* flags) {
  HttpOptions& http = flags->server.http;
  constexpr char kGroup[] = "Server";
  app.add_option("--uds", http.uds,
                 "Path of a Unix socket to listen on instead of --host and --port.")
      ->type_name("PATH")
      ->group(kGroup);
  app.add_option("--ssl-certfile", http.ssl_certificate,
                 "The server's certificate and those that vouch for it, PEM: calls come by TLS "
                 "then. SIGHUP has the files read again.")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_option("--ssl-keyfile", http.ssl_key,
                 "The certificate's private key, PEM. Default: in --ssl-certfile.")
      ->type_name("FILE")
      ->group(kGroup);
}

void AddLimitFlags(CLI::App& app, ServerFlags* flags) {
  HttpOptions& http = flags->server.http;
  constexpr char kGroup[] = "Limits";
  const auto add = [&](const char* name, auto& value, const char* type, const char* help) {
    app.add_option(name, value, help)
        ->check(CLI::Range(0, 1 << 30).description(""))
        ->type_name(type)
        ->group(kGroup)
        ->capture_default_str();
  };
  add("--max-connections", http.max_connections, "N",
      "Clients that may be connected at once; more are answered 503. 0: any number.");
  add("--max-header-bytes", http.max_header_bytes, "BYTES",
      "Longest head of a request, in bytes; a longer one is answered 431.");
  add("--idle-timeout-seconds", flags->idle_seconds, "SECONDS",
      "How long a connection may be without a request, or a request's head take to come.");
  add("--body-timeout-seconds", flags->body_seconds, "SECONDS",
      "How long a request's body may take to come.");
  add("--write-timeout-seconds", flags->write_seconds, "SECONDS",
      "How long a client may take nothing of its answer.");
}

void AddMonitoringFlags(CLI::App& app, ServerFlags* flags) {
  constexpr char kGroup[] = "Server";
  app.add_option("--log-format", flags->log_format,
                 "Of the lines on stderr: text, or json, an object a line.")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, LogFormat>{{"text", LogFormat::kText},
                                                                   {"json", LogFormat::kJson}})
              .description(""))
      ->type_name("FORMAT")
      ->group(kGroup)
      ->default_str("text");
  app.add_option("--metrics-dialect", flags->server.metrics_dialect,
                 "Whose names /metrics has: vllm, sglang or tgi.")
      ->transform(CLI::CheckedTransformer(
                      std::map<std::string, MetricsDialect>{{"vllm", MetricsDialect::kVllm},
                                                            {"sglang", MetricsDialect::kSglang},
                                                            {"tgi", MetricsDialect::kTgi}})
                      .description(""))
      ->type_name("NAME")
      ->group(kGroup)
      ->default_str("vllm");
}

// vLLM's lists: '["*"]' is one value and two texts more than "*".
Status ReadList(const char* flag, std::vector<std::string>* values) {
  std::vector<std::string> read;
  for (const std::string& value : *values) {
    if (!value.starts_with('[')) {
      read.push_back(value);
      continue;
    }
    boost::system::error_code error;
    const boost::json::value list = boost::json::parse(value, error);
    const boost::json::array* items = error ? nullptr : list.if_array();
    bool is_good = items != nullptr;
    for (size_t i = 0; is_good && i < items->size(); ++i) {
      is_good = (*items)[i].is_string();
      if (is_good) read.emplace_back((*items)[i].get_string());
    }
    if (!is_good) {
      return Status(Code::kInvalidArgument, std::string(flag) + " is '" + value +
                                                "', expected a text or a JSON list of texts");
    }
  }
  *values = std::move(read);
  return Status();
}

}  // namespace

void AddServerFlags(CLI::App& app, ServerFlags* flags) {
  AddHttpFlags(app, flags);
  AddTlsFlags(app, flags);
  AddMonitoringFlags(app, flags);
  AddLimitFlags(app, flags);
  AddModelFlags(app, flags);
}

Status FinishServerFlags(ServerFlags* flags) {
  HttpOptions& http = flags->server.http;
  if (http.ssl_certificate.empty() && !http.ssl_key.empty()) {
    return Status(Code::kInvalidArgument, "--ssl-keyfile is set without --ssl-certfile");
  }
  http.header_timeout = std::chrono::seconds(flags->idle_seconds);
  http.body_timeout = std::chrono::seconds(flags->body_seconds);
  http.write_timeout = std::chrono::seconds(flags->write_seconds);
  return ReadList("--allowed-origin", &flags->server.router.allowed_origins);
}

}  // namespace keel::apps

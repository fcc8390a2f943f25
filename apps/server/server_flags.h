// The server's own flags.
#ifndef KEEL_APPS_SERVER_SERVER_FLAGS_H_
#define KEEL_APPS_SERVER_SERVER_FLAGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "apps/common/log.h"
#include "apps/server/server_app.h"

namespace keel::apps {

struct ServerFlags {
  ServerOptions server;
  std::vector<std::string> names;  // --served-model-name
  int64_t models_memory_bytes = 0;
  int drain_seconds = 30;
  int shutdown_delay_seconds = 0;
  int idle_seconds = 75, body_seconds = 60, write_seconds = 60;
  LogFormat log_format = LogFormat::kText;
};

// `flags` must outlive the parsing.
void AddServerFlags(CLI::App& app, ServerFlags* flags);
// What can be said of the flags only together, once they are parsed: fills and checks flags->server.
Status FinishServerFlags(ServerFlags* flags);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_SERVER_FLAGS_H_

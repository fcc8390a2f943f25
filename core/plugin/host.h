// The host as a plugin sees it (sdk/abi/plugin.h, section A), and calls into a plugin.
#ifndef KEEL_CORE_PLUGIN_HOST_H_
#define KEEL_CORE_PLUGIN_HOST_H_

#include <functional>
#include <map>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

// The tables that plugins get by id ("keel.config/1"). Filled at start, then read by any thread;
// must outlive the plugins.
class HostInterfaces {
 public:
  void Add(std::string id, const void* table) { tables_[std::move(id)] = table; }
  const void* Find(absl::string_view id) const;

 private:
  std::map<std::string, const void*, std::less<>> tables_;
};

// Where plugins' log lines go. `level`: 0 debug, 1 info, 2 warning, 3 error. Called on any thread.
using PluginLog = std::function<void(int level, absl::string_view plugin, absl::string_view where,
                                     absl::string_view message)>;

// Writes "plugin libfoo.so: where: message" to stderr from level 2 (warning) on.
void LogPluginToStderr(int level, absl::string_view plugin, absl::string_view where,
                       absl::string_view message);

// The keel_host given to one plugin. Lives at one address until the plugin's shutdown has returned.
class PluginHost {
 public:
  PluginHost(std::string plugin_name, const HostInterfaces* interfaces, PluginLog log);
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;

  const keel_host* get() const { return &host_; }

 private:
  static const void* GetInterface(void* self, const char* id);
  static void SetError(void* self, keel_status status, const char* message, size_t n);
  static void Log(void* self, int32_t level, const char* where, const char* message, size_t n);

  const std::string plugin_name_;
  const HostInterfaces* const interfaces_;
  const PluginLog log_;
  keel_host host_;
};

// Runs `call`, a call into the plugin `plugin_name`, and turns what it returns into a Status: the
// code, and for the message what the plugin gave to set_error on this thread meanwhile:
//   plugin libfoo.so: LlamaForCausalLM.config: rope type 'yarn' is unknown
// Calls may nest (plugin -> host -> plugin). An exception that gets here breaks the plugin's
// contract and becomes kInternal.
absl::Status CallPlugin(absl::string_view plugin_name, absl::string_view what,
                        absl::FunctionRef<keel_status()> call);

// A plugin's bytes as text for a message or a log line: UTF-8, control characters escaped, at most
// 4096 bytes.
std::string PluginText(const char* text, size_t n);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_HOST_H_

#include "core/plugin/host.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/plugin/requirements.h"

namespace keel {
namespace {

constexpr size_t kMaxTextBytes = 4096;
constexpr int kWarning = 2;

// The calls into plugins that are under way on this thread, innermost first.
struct ActiveCall {
  std::string message;
  ActiveCall* outer = nullptr;
};
thread_local ActiveCall* innermost_call = nullptr;

class ScopedCall {
 public:
  ScopedCall() {
    call_.outer = innermost_call;
    innermost_call = &call_;
  }
  ~ScopedCall() { innermost_call = call_.outer; }
  ScopedCall(const ScopedCall&) = delete;
  ScopedCall& operator=(const ScopedCall&) = delete;

  const std::string& message() const { return call_.message; }

 private:
  ActiveCall call_;
};

absl::StatusCode ToCode(keel_status status) {
  if (status < 0 || status > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return absl::StatusCode::kUnknown;
  }
  return static_cast<absl::StatusCode>(status);
}

}  // namespace

std::string PluginText(const char* text, size_t n) {
  if (text == nullptr) return "";
  // Quotes are for people.
  return absl::StrReplaceAll(
      absl::Utf8SafeCHexEscape(absl::string_view(text, std::min(n, kMaxTextBytes))),
      {{"\\'", "'"}, {"\\\"", "\""}});
}

const void* HostInterfaces::Find(absl::string_view id) const {
  const auto it = tables_.find(id);
  return it == tables_.end() ? nullptr : it->second;
}

void LogPluginToStderr(int level, absl::string_view plugin, absl::string_view where,
                       absl::string_view message) {
  if (level < kWarning) return;
  const std::string line =
      absl::StrCat("plugin ", plugin, ": ", where, where.empty() ? "" : ": ", message, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

PluginHost::PluginHost(std::string plugin_name, const HostInterfaces* interfaces, PluginLog log)
    : plugin_name_(std::move(plugin_name)),
      interfaces_(interfaces),
      log_(log != nullptr ? std::move(log) : LogPluginToStderr),
      host_{KEEL_ABI_MAJOR, KEEL_ABI_MINOR, this, GetInterface, SetError, Log} {}

const void* PluginHost::GetInterface(void* self, const char* id) {
  return id == nullptr ? nullptr : static_cast<PluginHost*>(self)->interfaces_->Find(id);
}

void PluginHost::SetError(void* self, keel_status, const char* message, size_t n) {
  if (innermost_call != nullptr) {
    innermost_call->message = PluginText(message, n);
  } else {  // a thread of the plugin's own: no call to attach it to
    static_cast<PluginHost*>(self)->log_(kWarning, static_cast<PluginHost*>(self)->plugin_name_,
                                         "set_error outside of a call", PluginText(message, n));
  }
}

void PluginHost::Log(void* self, int32_t level, const char* where, const char* message, size_t n) {
  const PluginHost* host = static_cast<PluginHost*>(self);
  const absl::string_view place = where == nullptr ? "" : where;
  host->log_(std::clamp<int>(level, 0, 3), host->plugin_name_,
             PluginText(place.data(), place.size()), PluginText(message, n));
}

absl::Status CallPlugin(absl::string_view plugin_name, absl::string_view what,
                        absl::FunctionRef<keel_status()> call) {
  const auto error = [&](absl::StatusCode code, absl::string_view message) {
    return absl::Status(code, absl::StrCat("plugin ", plugin_name, ": ", what, ": ", message));
  };
  const ScopedCall scope;
  keel_status status = 0;
  try {
    status = call();
  } catch (const std::exception& e) {
    return error(absl::StatusCode::kInternal,
                 Breaks(35, absl::StrCat("let an exception out, which a plugin must not: ",
                                         PluginText(e.what(), std::strlen(e.what())))));
  } catch (...) {
    return error(absl::StatusCode::kInternal,
                 Breaks(35, "let an exception out, which a plugin must not"));
  }
  if (status == 0) return absl::OkStatus();
  const absl::StatusCode code = ToCode(status);
  if (!scope.message().empty()) return error(code, scope.message());
  return error(code, absl::StrCat("failed with ", absl::StatusCodeToString(code), " (", status,
                                  ") and no message"));
}

}  // namespace keel

// A call into a plugin, for code that knows nothing of plugins' loading.
#ifndef KEEL_CORE_BASE_PLUGIN_CALL_H_
#define KEEL_CORE_BASE_PLUGIN_CALL_H_

#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Makes one call and gives its status with the message that the plugin set meanwhile (Plugin::Call).
// `what` names it in messages: "forward". Thread-safe.
using PluginCall =
    std::function<absl::Status(absl::string_view what, absl::FunctionRef<keel_status()> call)>;

// `call` by way of `through`; where that is empty, as it is.
inline absl::Status CallThrough(const PluginCall& through, absl::string_view what,
                                absl::FunctionRef<keel_status()> call) {
  if (through) return through(what, call);
  const keel_status code = call();
  if (code == 0) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(code),
                      absl::StrCat(what, " failed and gave no message"));
}

}  // namespace keel

#endif  // KEEL_CORE_BASE_PLUGIN_CALL_H_

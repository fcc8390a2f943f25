// The host as this plugin sees it, and the barrier that keeps C++ exceptions inside. Included by
// the other headers.
#ifndef KEEL_SDK_KEEL_HOST_H_
#define KEEL_SDK_KEEL_HOST_H_

#include <exception>
#include <stdexcept>
#include <string>

#include "sdk/abi/plugin.h"

namespace keel {

// The interfaces that init found. One per plugin: the library's symbols are hidden.
struct Host {
  const keel_host* host = nullptr;
  const keel_config_api* config = nullptr;
  const keel_spec_api* spec = nullptr;
};
inline Host g_host;

// A failure of the plugin's own; the message reaches the user. Codes are absl::StatusCode numbers.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, keel_status code = 3)
      : std::runtime_error(message), code_(code) {}
  keel_status code() const { return code_; }

 private:
  keel_status code_;
};

// Runs `body`, turning what it throws into a status with a message.
template <typename Body>
keel_status Guard(Body body) noexcept {
  const auto fail = [](keel_status code, const char* what) {
    g_host.host->set_error(g_host.host->self, code, what, std::char_traits<char>::length(what));
    return code;
  };
  try {
    return body();
  } catch (const Error& e) {
    return fail(e.code(), e.what());
  } catch (const std::exception& e) {
    return fail(13, e.what());
  } catch (...) {
    return fail(2, "unknown exception");
  }
}

}  // namespace keel
#endif  // KEEL_SDK_KEEL_HOST_H_

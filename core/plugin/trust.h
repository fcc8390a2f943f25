// The one place that decides whether a plugin file may run. Its answer is a type: PluginLoader takes
// an AuthorizedImage and only PluginTrust makes one, so no config key, environment variable or call
// site can bring a file to run around it.
#ifndef KEEL_CORE_PLUGIN_TRUST_H_
#define KEEL_CORE_PLUGIN_TRUST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/plugin/plugin_ref.h"

namespace keel {

// --trust-remote-code: what a checkpoint's own plugin may do.
struct RemoteCodePolicy {
  enum class Mode {
    kNone,    // nothing (the default)
    kJailed,  // be recorded in a child process that can do nothing else; not served yet
    kFull,    // run in this process, if its sha256 is pinned
  };
  Mode mode = Mode::kNone;
  std::vector<std::string> pinned_sha256 = {};  // hex
};

// Parses the flag: "false", "jailed" (also "true", ""), "full,<sha256>[,<sha256> ...]". "full" alone
// parses: Authorize then says which sha256 to pin.
absl::StatusOr<RemoteCodePolicy> ParseTrustRemoteCode(absl::string_view flag);

// A plugin's bytes that may be mapped: a copy that nobody can change any more (a sealed memfd),
// which is what was hashed and inspected. Move-only.
class AuthorizedImage {
 public:
  AuthorizedImage(AuthorizedImage&& other) noexcept;
  AuthorizedImage& operator=(AuthorizedImage&& other) noexcept;
  ~AuthorizedImage();

  int fd() const { return fd_; }                         // owned by this object
  const std::string& sha256() const { return sha256_; }  // hex
  const PluginRef& ref() const { return ref_; }          // with the note of these very bytes

 private:
  friend class PluginTrust;
  AuthorizedImage(int fd, std::string sha256, PluginRef ref);

  int fd_ = -1;
  std::string sha256_;
  PluginRef ref_;
};

// Thread-safe.
class PluginTrust {
 public:
  explicit PluginTrust(RemoteCodePolicy remote_code = {}) : remote_code_(std::move(remote_code)) {}

  const RemoteCodePolicy& remote_code() const { return remote_code_; }

  // Reads the file once and decides on that copy:
  //   --plugin-path  runs: the operator named it
  //   in-tree        runs, unless anybody may write the file or its directory
  //   checkpoint     runs with --trust-remote-code=full and its sha256 pinned
  // and each only if InspectPlugin finds nothing wrong. Errors name the file and what to do.
  absl::StatusOr<AuthorizedImage> Authorize(const PluginRef& ref) const;

 private:
  RemoteCodePolicy remote_code_;
};

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_TRUST_H_

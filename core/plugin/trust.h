// The one place that decides whether a plugin file may run. Its answer is a type: PluginLoader takes
// an AuthorizedImage and only PluginTrust makes one here, so no config key, environment variable or
// call site can bring a file to run around it. docs/security.md says what each tier stops.
#ifndef KEEL_CORE_PLUGIN_TRUST_H_
#define KEEL_CORE_PLUGIN_TRUST_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_descriptor.h"
#include "core/plugin/plugin_ref.h"
#include "core/plugin/trust_store.h"

namespace keel {

// --trust-remote-code: what a checkpoint's own plugin may do.
struct RemoteCodePolicy {
  enum class Mode {
    kNone,    // nothing (the default); a graph file, which is data, needs no leave
    kJailed,  // be recorded in a child process that can do nothing else (core/remote)
    kFull,    // run in this process, if it is pinned or signed
  };
  Mode mode = Mode::kNone;
  std::vector<std::string> pinned_sha256 = {};  // hex
  std::string trust_file = {};                  // --trust-file; "": TrustStore::Open's places
};

// Parses the flag: "false", "jailed" (also "true", ""), "full", "full,<sha256>[,<sha256> ...]".
absl::StatusOr<RemoteCodePolicy> ParseTrustRemoteCode(absl::string_view flag);

// A plugin's bytes that nobody can change any more (a sealed memfd): what was hashed and inspected.
// Move-only.
class PluginImage {
 public:
  int fd() const { return fd_.get(); }                   // owned by this object
  const std::string& sha256() const { return sha256_; }  // hex
  const PluginRef& ref() const { return ref_; }          // with the note of these very bytes

 private:
  friend class PluginTrust;
  friend class Jail;  // core/remote/jail.h
  PluginImage(FileDescriptor fd, std::string sha256, PluginRef ref)
      : fd_(std::move(fd)), sha256_(std::move(sha256)), ref_(std::move(ref)) {}

  FileDescriptor fd_;
  std::string sha256_;
  PluginRef ref_;
};

// One that may be mapped into this process.
class AuthorizedImage : public PluginImage {
 private:
  friend class PluginTrust;
  friend class Jail;  // core/remote/jail.h: this process can do nothing else any more
  explicit AuthorizedImage(PluginImage image) : PluginImage(std::move(image)) {}
};

// One that may be mapped into a jail, and nowhere else: a library, or a graph file to be read there.
class JailedImage : public PluginImage {
 private:
  friend class PluginTrust;
  explicit JailedImage(PluginImage image) : PluginImage(std::move(image)) {}
};

// Thread-safe.
class PluginTrust {
 public:
  explicit PluginTrust(RemoteCodePolicy remote_code = {}, TrustStore store = {})
      : remote_code_(std::move(remote_code)), store_(std::move(store)) {}
  // With the trust file that the policy names.
  static absl::StatusOr<PluginTrust> Open(const RemoteCodePolicy& remote_code);

  // Reads the file once and decides on that copy:
  //   --plugin-path  runs: the operator named it
  //   in-tree        runs
  //   checkpoint     runs with --trust-remote-code=full if its sha256 is pinned, by the flag or the
  //                  trust file, or a key of the trust file signed it (<path>.minisig)
  // and each only if everybody may not write it, the trust file does not deny it, the checkpoint's
  // manifest means these bytes, and InspectPlugin finds nothing wrong. Errors name the file and what
  // to do.
  absl::StatusOr<AuthorizedImage> Authorize(const PluginRef& ref) const;

  // Whether the policy lets `ref`, a library, into a jail at most.
  bool IsForJail(const PluginRef& ref) const {
    return ref.origin == PluginOrigin::kCheckpoint &&
           remote_code_.mode != RemoteCodePolicy::Mode::kFull;
  }

  // The same for a jail, which --trust-remote-code alone allows a checkpoint's plugin.
  absl::StatusOr<JailedImage> AuthorizeJailed(const PluginRef& ref) const;

  // A graph file, checked as above but for what only code has, for a jail that reads it. Data: no
  // policy keeps it out.
  absl::StatusOr<JailedImage> SealGraph(const PluginRef& ref, int64_t max_bytes) const;

 private:
  absl::StatusOr<PluginImage> Seal(const PluginRef& ref, int64_t max_bytes) const;
  absl::Status CheckSealed(const PluginImage& image) const;
  absl::Status CheckFull(const PluginImage& image) const;
  absl::Status CheckSignature(const PluginImage& image) const;

  RemoteCodePolicy remote_code_;
  TrustStore store_;
};

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_TRUST_H_

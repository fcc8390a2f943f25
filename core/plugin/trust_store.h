// The trust file: which plugins of checkpoints an operator lets into a server's process, and which
// may not run at all. One entry a line, so that it can be read, searched and appended to as
// authorized_keys of ssh is:
//
//   # reviewed by ann, 2026-11-29
//   pin  <sha256 of the file>                       this very file
//   key  <minisign public key> <ids> [until=YYYY-MM-DD]   what this key signed
//   deny <sha256 of the file>                       never, whoever brings it
//
// What follows an entry is a comment. <ids>: the ids that the key may sign, "org.example.foo", or
// all that begin so, "org.example.*", or "*". With `until` the key counts through that day (UTC).
#ifndef KEEL_CORE_PLUGIN_TRUST_STORE_H_
#define KEEL_CORE_PLUGIN_TRUST_STORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/plugin/minisign.h"
#include "core/plugin/note.h"

namespace keel {

struct TrustedKey {
  MinisignPublicKey key;
  std::string ids;    // "org.example.*"
  std::string until;  // "" for ever
};

class TrustStore {
 public:
  // The file `path`; "": /etc/keel/trust and the user's own (UserFile), each if it exists. A file
  // must belong to root or to the user of this process and be writable by its owner alone, else
  // kPermissionDenied. Errors name file and line.
  static absl::StatusOr<TrustStore> Open(const std::string& path = "");
  // `where` begins every error.
  static absl::StatusOr<TrustStore> Parse(absl::string_view text, absl::string_view where);
  // $XDG_CONFIG_HOME/keel/trust, else ~/.config/keel/trust; "" for a process that runs with more
  // rights than its user, or has no home.
  static std::string UserFile();

  bool IsPinned(absl::string_view sha256) const;
  bool IsDenied(absl::string_view sha256) const;
  // OK if a key of this file signed `bytes` as the plugin of `note` for this platform
  // (SignedName). kPermissionDenied says what is wrong.
  absl::Status CheckSignature(const MinisignSignature& signature, absl::Span<const uint8_t> bytes,
                              const PluginNote& note) const;

 private:
  absl::Status Read(const std::string& path);
  absl::Status ParseLine(absl::string_view line);

  std::vector<std::string> pins_, denied_;
  std::vector<TrustedKey> keys_;
};

// Appends a line to the trust file `path`, making it and its directory if need be. kAlreadyExists
// if the line's entry is there.
absl::Status AppendPin(const std::string& path, const std::string& sha256,
                       const std::string& comment);

// "org.example.foo 1.0 linux-x86_64": how the trusted comment of a signature begins, so that a
// signed file cannot be passed off as another plugin, version or platform.
std::string SignedName(const PluginNote& note);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_TRUST_STORE_H_

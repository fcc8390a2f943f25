#include "core/plugin/trust.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/plugin/inspect.h"
#include "core/plugin/sealed_file.h"

namespace keel {
namespace {

constexpr int64_t kMaxSignatureBytes = 4096;

absl::Status Named(const absl::Status& status, const PluginRef& ref) {
  return Annotate(status, LabelOf(ref));
}

}  // namespace

absl::string_view PluginOriginName(PluginOrigin origin) {
  switch (origin) {
    case PluginOrigin::kPluginPath:
      return "--plugin-path";
    case PluginOrigin::kGraphDir:
      return "--graph-dir";
    case PluginOrigin::kInTree:
      return "in-tree";
    case PluginOrigin::kCheckpoint:
      return "the checkpoint";
  }
  return "?";
}

std::string LabelOf(const PluginRef& ref) {
  return absl::StrCat(ref.kind == PluginKind::kGraph ? "graph file " : "plugin ", ref.name);
}

absl::StatusOr<RemoteCodePolicy> ParseTrustRemoteCode(absl::string_view flag) {
  RemoteCodePolicy policy;
  std::vector<std::string> parts = absl::StrSplit(flag, ',');
  if (parts[0] == "false") {
    policy.mode = RemoteCodePolicy::Mode::kNone;
  } else if (parts[0].empty() || parts[0] == "true" || parts[0] == "jailed") {
    policy.mode = RemoteCodePolicy::Mode::kJailed;
  } else if (parts[0] == "full") {
    policy.mode = RemoteCodePolicy::Mode::kFull;
    policy.pinned_sha256.assign(parts.begin() + 1, parts.end());
    for (const std::string& pin : policy.pinned_sha256) {
      if (!IsSha256Hex(pin)) {
        return absl::InvalidArgumentError(
            absl::StrCat("--trust-remote-code: '", pin, "' is no sha256 (64 digits 0-9, a-f)"));
      }
    }
    return policy;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("--trust-remote-code is '", flag,
                     "', expected false, jailed, full or full,<sha256 of the plugin>"));
  }
  if (parts.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--trust-remote-code is '", flag, "': a sha256 can only follow full, as in full,<sha256>"));
  }
  return policy;
}

absl::StatusOr<PluginTrust> PluginTrust::Open(const RemoteCodePolicy& remote_code) {
  KEEL_ASSIGN_OR_RETURN(TrustStore store, TrustStore::Open(remote_code.trust_file));
  return PluginTrust(remote_code, std::move(store));
}

absl::StatusOr<PluginImage> PluginTrust::Seal(const PluginRef& ref, int64_t max_bytes) const {
  KEEL_ASSIGN_OR_RETURN(FileDescriptor fd, SealFile(ref.path, ref.name, max_bytes));
  PluginImage image(std::move(fd), "", ref);
  KEEL_RETURN_IF_ERROR(WithBytes(image.fd(), [&](absl::Span<const uint8_t> bytes) {
    image.sha256_ = Sha256Hex(bytes);
    KEEL_RETURN_IF_ERROR(CheckSealed(image));
    if (ref.kind == PluginKind::kGraph) return absl::OkStatus();
    KEEL_ASSIGN_OR_RETURN(image.ref_.note, InspectPlugin(bytes));
    return absl::OkStatus();
  }));
  return image;
}

absl::Status PluginTrust::CheckSealed(const PluginImage& image) const {
  if (store_.IsDenied(image.sha256()))
    return absl::PermissionDeniedError("is denied by the trust file");
  const std::string& stated = image.ref().sha256;
  if (stated.empty() || stated == image.sha256()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("has sha256 ", image.sha256(), ", keel_plugin.json says ",
                                          stated, "; the checkpoint is damaged"));
}

absl::Status PluginTrust::CheckSignature(const PluginImage& image) const {
  const absl::StatusOr<std::string> text =
      ReadFile(absl::StrCat(image.ref().path, ".minisig"), kMaxSignatureBytes);
  if (!text.ok()) return absl::NotFoundError("has no signature");
  KEEL_ASSIGN_OR_RETURN(const MinisignSignature signature, ParseMinisignSignature(*text));
  return WithBytes(image.fd(), [&](absl::Span<const uint8_t> bytes) {
    return store_.CheckSignature(signature, bytes, image.ref().note);
  });
}

absl::Status PluginTrust::CheckFull(const PluginImage& image) const {
  const std::string flag = absl::StrCat("--trust-remote-code=full,", image.sha256());
  switch (remote_code_.mode) {
    case RemoteCodePolicy::Mode::kNone:
      return absl::PermissionDeniedError(absl::StrCat(
          "comes with the checkpoint and is not run unasked; --trust-remote-code records it in a "
          "jail, ",
          flag, " runs it here"));
    case RemoteCodePolicy::Mode::kJailed:
      return absl::PermissionDeniedError(
          absl::StrCat("comes with the checkpoint and may run in a jail only; for its own kernels "
                       "or attention, if you trust it, start with ",
                       flag));
    case RemoteCodePolicy::Mode::kFull:
      break;
  }
  const std::vector<std::string>& pins = remote_code_.pinned_sha256;
  const bool pinned = std::find(pins.begin(), pins.end(), image.sha256()) != pins.end();
  if (pinned || store_.IsPinned(image.sha256())) return absl::OkStatus();
  const absl::Status signature = CheckSignature(image);
  if (signature.ok()) return signature;
  return absl::PermissionDeniedError(absl::StrCat(
      "has sha256 ", image.sha256(), ", which is ",
      pins.empty() ? "not pinned" : "none of the pinned ones", ", and ", signature.message(),
      "; if you trust it, pin it (keel-plugin pin) or start with ", flag));
}

absl::StatusOr<AuthorizedImage> PluginTrust::Authorize(const PluginRef& ref) const {
  absl::StatusOr<PluginImage> image = Seal(ref, kMaxPluginBytes);
  if (!image.ok()) return Named(image.status(), ref);
  if (ref.kind != PluginKind::kLibrary)
    return Named(absl::InvalidArgumentError("is a graph, which has no code to run"), ref);
  if (ref.origin == PluginOrigin::kCheckpoint) {
    if (absl::Status status = CheckFull(*image); !status.ok()) return Named(status, ref);
  }
  return AuthorizedImage(*std::move(image));
}

absl::StatusOr<JailedImage> PluginTrust::AuthorizeJailed(const PluginRef& ref) const {
  absl::StatusOr<PluginImage> image = Seal(ref, kMaxPluginBytes);
  if (!image.ok()) return Named(image.status(), ref);
  if (ref.origin == PluginOrigin::kCheckpoint &&
      remote_code_.mode == RemoteCodePolicy::Mode::kNone) {
    return Named(CheckFull(*image), ref);
  }
  return JailedImage(*std::move(image));
}

absl::StatusOr<JailedImage> PluginTrust::SealGraph(const PluginRef& ref, int64_t max_bytes) const {
  absl::StatusOr<PluginImage> image = Seal(ref, max_bytes);
  if (!image.ok()) return Named(image.status(), ref);
  return JailedImage(*std::move(image));
}

}  // namespace keel

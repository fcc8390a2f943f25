#include "core/plugin/trust.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/plugin/inspect.h"
#include "core/plugin/sha256.h"

namespace keel {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::Status CopyBytes(int from, int to) {
  std::vector<char> buffer(1 << 20);
  int64_t total = 0;
  while (true) {
    const ssize_t n = read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "cannot read it");
    if (n == 0) return absl::OkStatus();
    total += n;
    if (total > kMaxPluginBytes) {
      return absl::ResourceExhaustedError("is larger than 256 MiB, the limit for a plugin");
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t w = write(to, buffer.data() + done, static_cast<size_t>(n - done));
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) return absl::ErrnoToStatus(errno, "cannot copy it to memory");
      done += w;
    }
  }
}

absl::Status CheckMode(mode_t mode, absl::string_view what) {
  if ((mode & S_IWOTH) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(what, " can be written by everybody; take that right away (chmod o-w)"));
}

absl::Status CheckInstallation(int fd, const std::string& path) {
  struct stat file, directory;
  const std::string parent = path.substr(0, path.rfind('/') + 1);
  if (fstat(fd, &file) != 0 || stat(parent.c_str(), &directory) != 0) {
    return absl::ErrnoToStatus(errno, "cannot stat it");
  }
  KEEL_RETURN_IF_ERROR(CheckMode(file.st_mode, "the file"));
  return CheckMode(directory.st_mode, absl::StrCat("its directory ", parent));
}

// The file's bytes in a memfd that can't be changed any more.
absl::StatusOr<int> SealedCopy(const PluginRef& ref) {
  const Fd file(open(ref.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", ref.path));
  struct stat info;
  if (fstat(file.get(), &info) != 0) return absl::ErrnoToStatus(errno, "cannot stat it");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("is not a regular file");
  if (ref.origin == PluginOrigin::kInTree) {
    KEEL_RETURN_IF_ERROR(CheckInstallation(file.get(), ref.path));
  }
  // The name shows in /proc/<pid>/maps, debuggers and profiles.
  Fd copy(memfd_create(ref.name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (copy.get() < 0) return absl::ErrnoToStatus(errno, "cannot make a memfd");
  KEEL_RETURN_IF_ERROR(CopyBytes(file.get(), copy.get()));
  if (fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) {
    return absl::ErrnoToStatus(errno, "cannot seal its memfd");
  }
  return copy.release();
}

absl::Status CheckCheckpointPlugin(const PluginRef& ref, const std::string& sha256,
                                   const RemoteCodePolicy& policy) {
  if (!ref.sha256.empty() && ref.sha256 != sha256) {
    return absl::DataLossError(absl::StrCat("has sha256 ", sha256, ", keel_plugin.json says ",
                                            ref.sha256, "; the checkpoint is damaged"));
  }
  const std::string flag = absl::StrCat("--trust-remote-code=full,", sha256);
  switch (policy.mode) {
    case RemoteCodePolicy::Mode::kNone:
      return absl::PermissionDeniedError(absl::StrCat(
          "comes with the checkpoint and is not run unasked; if you trust it, start with ", flag));
    case RemoteCodePolicy::Mode::kJailed:
      return absl::UnimplementedError(
          absl::StrCat("--trust-remote-code without =full would record it in a jail, which this "
                       "version can't do; if you trust it, start with ",
                       flag));
    case RemoteCodePolicy::Mode::kFull:
      break;
  }
  const std::vector<std::string>& pinned = policy.pinned_sha256;
  if (std::find(pinned.begin(), pinned.end(), sha256) != pinned.end()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("has sha256 ", sha256, ", which is ",
                   pinned.empty() ? "not pinned" : "none of the pinned ones",
                   "; if you trust it, start with ", flag));
}

}  // namespace

absl::string_view PluginOriginName(PluginOrigin origin) {
  switch (origin) {
    case PluginOrigin::kPluginPath:
      return "--plugin-path";
    case PluginOrigin::kInTree:
      return "in-tree";
    case PluginOrigin::kCheckpoint:
      return "the checkpoint";
  }
  return "?";
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
                     "', expected false, jailed or full,<sha256 of the plugin>"));
  }
  if (parts.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--trust-remote-code is '", flag, "': a sha256 can only follow full, as in full,<sha256>"));
  }
  return policy;
}

AuthorizedImage::AuthorizedImage(int fd, std::string sha256, PluginRef ref)
    : fd_(fd), sha256_(std::move(sha256)), ref_(std::move(ref)) {}

AuthorizedImage::AuthorizedImage(AuthorizedImage&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      sha256_(std::move(other.sha256_)),
      ref_(std::move(other.ref_)) {}

AuthorizedImage& AuthorizedImage::operator=(AuthorizedImage&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(sha256_, other.sha256_);
  std::swap(ref_, other.ref_);
  return *this;
}

AuthorizedImage::~AuthorizedImage() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<AuthorizedImage> PluginTrust::Authorize(const PluginRef& ref) const {
  const std::string where = absl::StrCat("plugin ", ref.name);
  absl::StatusOr<int> copy = SealedCopy(ref);
  if (!copy.ok()) return Annotate(copy.status(), where);
  AuthorizedImage image(*copy, "", ref);

  struct stat info;
  if (fstat(image.fd(), &info) != 0) return Annotate(absl::ErrnoToStatus(errno, "stat"), where);
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) return absl::InvalidArgumentError(absl::StrCat(where, ": is empty"));
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, image.fd(), 0);
  if (data == MAP_FAILED) return Annotate(absl::ErrnoToStatus(errno, "cannot map it"), where);
  const absl::Cleanup unmap = [data, size] { munmap(data, size); };
  const absl::Span<const uint8_t> bytes(static_cast<const uint8_t*>(data), size);

  image.sha256_ = Sha256Hex(bytes);
  if (ref.origin == PluginOrigin::kCheckpoint) {
    KEEL_RETURN_IF_ERROR(Annotate(CheckCheckpointPlugin(ref, image.sha256_, remote_code_), where));
  }
  absl::StatusOr<PluginNote> note = InspectPlugin(bytes);
  if (!note.ok()) return Annotate(note.status(), where);
  image.ref_.note = *std::move(note);
  return image;
}

}  // namespace keel

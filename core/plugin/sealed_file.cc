#include "core/plugin/sealed_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace fs = std::filesystem;

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

absl::Status CopyBytes(int from, int to, int64_t max_bytes) {
  std::vector<char> buffer(1 << 20);
  int64_t total = 0;
  while (true) {
    const ssize_t n = read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "cannot read it");
    if (n == 0) break;
    total += n;
    if (total > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("is larger than ", max_bytes >> 20, " MiB, the limit for such a file"));
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t w = write(to, buffer.data() + done, static_cast<size_t>(n - done));
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) return absl::ErrnoToStatus(errno, "cannot copy it to memory");
      done += w;
    }
  }
  return total > 0 ? absl::OkStatus() : absl::InvalidArgumentError("is empty");
}

absl::Status Writable(const std::string& what) {
  return absl::PermissionDeniedError(
      absl::StrCat(what, " can be written by everybody; take that right away (chmod o-w)"));
}

absl::Status CheckModes(const struct stat& file, const std::string& path) {
  struct stat directory;
  const std::string parent = path.substr(0, path.rfind('/') + 1);
  if (stat(parent.empty() ? "." : parent.c_str(), &directory) != 0)
    return absl::ErrnoToStatus(errno, "cannot stat its directory");
  if (file.st_mode & S_IWOTH) return Writable("the file");
  // In a directory as /tmp is, nobody can replace another's file.
  const bool sticky = directory.st_mode & S_ISVTX;
  if ((directory.st_mode & S_IWOTH) && !sticky)
    return Writable(absl::StrCat("its directory ", parent));
  return absl::OkStatus();
}

bool IsWithin(const fs::path& path, const fs::path& directory) {
  const fs::path relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

absl::StatusOr<fs::path> Canonical(const fs::path& path) {
  std::error_code error;
  fs::path resolved = fs::canonical(path, error);
  if (!error) return resolved;
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot open ", path.string()));
}

}  // namespace

absl::StatusOr<FileDescriptor> SealFile(const std::string& path, const std::string& name,
                                        int64_t max_bytes) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  struct stat info;
  if (fstat(file.get(), &info) != 0) return absl::ErrnoToStatus(errno, "cannot stat it");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("is not a regular file");
  KEEL_RETURN_IF_ERROR(CheckModes(info, path));
  FileDescriptor copy(memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (copy.get() < 0) return absl::ErrnoToStatus(errno, "cannot make a memfd");
  KEEL_RETURN_IF_ERROR(CopyBytes(file.get(), copy.get(), max_bytes));
  if (fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0)
    return absl::ErrnoToStatus(errno, "cannot seal its memfd");
  return copy;
}

absl::Status WithBytes(int fd, absl::FunctionRef<absl::Status(absl::Span<const uint8_t>)> use) {
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, "cannot stat a memfd");
  const size_t size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map it");
  const absl::Cleanup unmap = [data, size] { munmap(data, size); };
  return use({static_cast<const uint8_t*>(data), size});
}

absl::StatusOr<std::string> ResolveInCheckpoint(const std::string& directory,
                                                const std::string& name) {
  KEEL_ASSIGN_OR_RETURN(const fs::path home, Canonical(directory));
  KEEL_ASSIGN_OR_RETURN(const fs::path file, Canonical(fs::path(directory) / name));
  if (IsWithin(file, home)) return file.string();
  const fs::path snapshots = home.parent_path();
  if (snapshots.filename() == "snapshots" && IsWithin(file, snapshots.parent_path() / "blobs"))
    return file.string();
  return absl::PermissionDeniedError(absl::StrCat("is a link that leads out of the checkpoint, to ",
                                                  file.string(), "; copy the file there"));
}

}  // namespace keel

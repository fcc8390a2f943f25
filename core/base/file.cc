#include "core/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"

namespace keel {
namespace {

absl::Status PathError(int error, absl::string_view what, absl::string_view path) {
  return WithFile(absl::ErrnoToStatus(error, absl::StrCat(what, " ", path)), path);
}

absl::Status CheckRegular(const struct stat& info, absl::string_view path) {
  if (S_ISREG(info.st_mode)) return absl::OkStatus();
  return WithFile(absl::InvalidArgumentError(absl::StrCat(
                      path, S_ISDIR(info.st_mode) ? " is a directory" : " is a device or pipe",
                      ", expected a regular file")),
                  path);
}

// An open descriptor of a regular file and its size. The caller closes it.
absl::StatusOr<std::pair<int, int64_t>> OpenRegular(const std::string& path) {
  // O_NONBLOCK: opening a pipe nobody writes to must not hang.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return PathError(errno, "cannot open", path);
  struct stat info;
  absl::Status status =
      fstat(fd, &info) != 0 ? PathError(errno, "cannot stat", path) : CheckRegular(info, path);
  if (!status.ok()) {
    close(fd);
    return status;
  }
  return std::pair(fd, static_cast<int64_t>(info.st_size));
}

void Advise(absl::Span<const uint8_t> part, int advice) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

absl::StatusOr<int64_t> RegularFileSize(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return PathError(errno, "cannot open", path);
  KEEL_RETURN_IF_ERROR(CheckRegular(info, path));
  return static_cast<int64_t>(info.st_size);
}

bool IsRegularFile(const std::string& path) { return RegularFileSize(path).ok(); }

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  KEEL_ASSIGN_OR_RETURN((const auto [fd, size]), OpenRegular(path));
  const int open_fd = fd;
  const absl::Cleanup closer = [open_fd] { close(open_fd); };
  if (size > max_bytes) {
    return WithFile(absl::ResourceExhaustedError(
                        absl::StrCat(path, " has ", size, " bytes, the limit is ", max_bytes)),
                    path);
  }
  std::string text(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = read(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return PathError(errno, "cannot read", path);
    if (n == 0) {
      return absl::DataLossError(absl::StrCat(path, " became shorter while it was being read"));
    }
    done += static_cast<size_t>(n);
  }
  return text;
}

std::string JoinPath(absl::string_view dir, absl::string_view name) {
  if (dir.empty() || (!name.empty() && name.front() == '/')) return std::string(name);
  return absl::StrCat(dir, dir.back() == '/' ? "" : "/", name);
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  KEEL_ASSIGN_OR_RETURN((const auto [fd, size]), OpenRegular(path));
  const int open_fd = fd;
  const absl::Cleanup closer = [open_fd] { close(open_fd); };
  if (size == 0) return MappedFile();  // mmap refuses a length of 0.
  void* data = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return PathError(errno, "cannot map", path);
  return MappedFile(static_cast<const uint8_t*>(data), static_cast<size_t>(size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

void PrefetchPages(absl::Span<const uint8_t> part) { Advise(part, MADV_WILLNEED); }
void DropPages(absl::Span<const uint8_t> part) { Advise(part, MADV_DONTNEED); }

}  // namespace keel

#include "core/weights/weight_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kMagic = "KEELPACK";
constexpr uint32_t kVersion = 1;
constexpr absl::string_view kSuffix = ".packed", kUnfinished = ".unfinished";
constexpr size_t kKeySize = 64, kDigestSize = 64;
// Of what the disk would have free without the cache.
constexpr int kShareOfDisk = 4;
constexpr size_t kPieceBytes = size_t{32} << 20;  // written, then waited for

absl::Status FileError(int error, absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", what, " ", path));
}

void Append(uint64_t number, std::string& out) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(number >> shift));
}

// What a header of these begins with; a note and padding follow, and its digest at the end.
std::string Beginning(absl::string_view key, int64_t bytes) {
  std::string out(kMagic);
  Append(kVersion, out);
  Append(static_cast<uint64_t>(bytes), out);
  absl::StrAppend(&out, key);
  return out;
}

bool EndsWithDigest(absl::Span<const uint8_t> header) {
  const std::string digest = Sha256Hex(header.first(header.size() - kDigestSize));
  return std::memcmp(header.last(kDigestSize).data(), digest.data(), kDigestSize) == 0;
}

absl::Status WriteAll(int fd, absl::Span<const uint8_t> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(errno, "write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// A new file beside `path`, locked: that says that somebody is at it. Between its creation and its lock another writer
// may have taken it for abandoned; then it has no name any more, and the next one is tried.
absl::StatusOr<int> CreateLocked(const std::string& path, std::string& unfinished) {
  while (true) {
    unfinished = absl::StrCat(path, ".XXXXXX", kUnfinished);
    const int fd = mkostemps(unfinished.data(), static_cast<int>(kUnfinished.size()), O_CLOEXEC);
    if (fd < 0) return FileError(errno, "create", unfinished);
    struct stat file;
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &file) != 0 || file.st_nlink > 0) return fd;
    close(fd);
  }
}

// Writes a whole file that nobody sees before it is on the disk. Pieces are waited for, so that neither the page cache
// fills with what is not on the disk, nor the last wait is long.
absl::Status WriteFile(const std::string& path, const std::string& header,
                       absl::Span<const uint8_t> bytes, const std::atomic<bool>& give_up) {
  std::string unfinished;
  KEEL_ASSIGN_OR_RETURN(const int fd, CreateLocked(path, unfinished));
  const absl::Cleanup closer = [fd] { close(fd); };  // and unlocks it
  absl::Cleanup remover = [&unfinished] { unlink(unfinished.c_str()); };
  KEEL_RETURN_IF_ERROR(
      WriteAll(fd, {reinterpret_cast<const uint8_t*>(header.data()), header.size()}, unfinished));
  while (!bytes.empty()) {
    if (give_up) return absl::CancelledError(absl::StrCat("gave up writing ", path));
    const absl::Span<const uint8_t> piece = bytes.first(std::min(kPieceBytes, bytes.size()));
    KEEL_RETURN_IF_ERROR(WriteAll(fd, piece, unfinished));
    if (fdatasync(fd) != 0) return FileError(errno, "write", unfinished);
    bytes.remove_prefix(piece.size());
  }
  // Whoever maps it reads it from the disk; this process has its own copy.
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (fsync(fd) != 0) return FileError(errno, "write", unfinished);
  if (rename(unfinished.c_str(), path.c_str()) != 0) return FileError(errno, "rename", unfinished);
  std::move(remover).Cancel();
  return absl::OkStatus();
}

// What a process that was killed left behind: nobody has it locked.
void RemoveIfAbandoned(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(path.c_str());
  close(fd);
}

}  // namespace

std::string CacheHeader(absl::string_view key, int64_t bytes, absl::string_view note) {
  std::string header = absl::StrCat(Beginning(key, bytes), "\n", absl::Utf8SafeCEscape(note));
  header.resize(kCacheHeaderBytes - kDigestSize);
  header.back() = '\n';
  header += Sha256Hex({reinterpret_cast<const uint8_t*>(header.data()), header.size()});
  return header;
}

absl::Status CheckCacheHeader(absl::Span<const uint8_t> header, absl::string_view key,
                              int64_t bytes) {
  const std::string beginning = Beginning(key, bytes);
  if (header.size() != static_cast<size_t>(kCacheHeaderBytes) || key.size() != kKeySize ||
      std::memcmp(header.data(), beginning.data(), beginning.size()) != 0 ||
      !EndsWithDigest(header)) {
    return absl::DataLossError("is damaged, or another's");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<uint8_t>> AllocatePages(int64_t bytes) {
  const size_t size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of weights"));
  madvise(pages, size, MADV_HUGEPAGE);
  return std::shared_ptr<uint8_t>(static_cast<uint8_t*>(pages),
                                  [size](uint8_t* p) { munmap(p, size); });
}

std::string WeightCache::DefaultDir() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return JoinPath(cache, "keel/weights");
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != '\0' ? JoinPath(home, ".cache/keel/weights") : "";
}

WeightCache::~WeightCache() {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  for (const auto& writer : writers_) {
    if (!writer->is_done.WaitForNotificationWithDeadline(deadline)) give_up_ = true;
    writer->thread.join();
  }
}

std::string WeightCache::PathOf(absl::string_view key) const {
  return JoinPath(dir_, absl::StrCat(key, kSuffix));
}

absl::StatusOr<std::shared_ptr<const uint8_t>> WeightCache::Find(absl::string_view key,
                                                                 int64_t bytes) const {
  const std::string path = PathOf(key);
  auto opened = MappedFile::Open(path);
  if (!opened.ok()) return opened.status();
  const auto file = std::make_shared<const MappedFile>(*std::move(opened));
  const absl::Span<const uint8_t> all = file->bytes();
  absl::Status status;
  if (static_cast<int64_t>(all.size()) != kCacheHeaderBytes + bytes) {
    status = absl::DataLossError(
        absl::StrCat("has ", all.size(), " bytes, expected ", kCacheHeaderBytes + bytes));
  } else {
    status = CheckCacheHeader(all.first(kCacheHeaderBytes), key, bytes);
  }
  if (!status.ok()) {
    unlink(path.c_str());
    return Annotate(status, path);
  }
  utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // used now; it may be another user's
  PrefetchPages(all);
  return std::shared_ptr<const uint8_t>(file, all.data() + kCacheHeaderBytes);
}

absl::Status WeightCache::MakeRoom(int64_t bytes) const {
  // A model's ranks write at the same time.
  for (const auto& writer : writers_)
    if (!writer->is_done.HasBeenNotified()) bytes += writer->bytes;
  struct File {
    fs::file_time_type used;
    int64_t size;
    fs::path path;
  };
  std::vector<File> files;
  int64_t total = 0;
  std::error_code error, ignored;
  // Not as a range, whose steps throw.
  for (fs::directory_iterator at(dir_, error), end; !error && at != end; at.increment(error)) {
    const fs::directory_entry& entry = *at;
    const std::string path = entry.path().string();
    if (absl::EndsWith(path, kUnfinished)) RemoveIfAbandoned(path);
    if (!absl::EndsWith(path, kSuffix)) continue;
    files.push_back({entry.last_write_time(ignored), static_cast<int64_t>(entry.file_size(ignored)),
                     entry.path()});
    if (files.back().size < 0) files.back().size = 0;  // gone meanwhile
    total += files.back().size;
  }
  const fs::space_info space = fs::space(dir_, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", dir_));
  const int64_t limit =
      max_bytes_ > 0 ? max_bytes_ : (static_cast<int64_t>(space.available) + total) / kShareOfDisk;
  if (bytes > limit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "they have ", bytes, " bytes, and files in ", dir_, " may take ", limit,
        max_bytes_ > 0 ? "" : ", a quarter of what the disk would have free without them"));
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (total + bytes <= limit) break;
    fs::remove(file.path, ignored);
    total -= file.size;
  }
  return absl::OkStatus();
}

absl::Status WeightCache::Write(absl::string_view key, absl::string_view note,
                                std::shared_ptr<const uint8_t> packed, int64_t bytes) {
  std::error_code error;
  fs::create_directories(dir_, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot create ", dir_));
  KEEL_RETURN_IF_ERROR(MakeRoom(kCacheHeaderBytes + bytes));
  Writer& writer = *writers_.emplace_back(std::make_unique<Writer>());
  writer.bytes = kCacheHeaderBytes + bytes;
  writer.thread = std::thread([this, &writer, path = PathOf(key),
                               header = CacheHeader(key, bytes, note), packed = std::move(packed),
                               bytes]() mutable {
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);  // requests come first
    writer.status = WriteFile(path, header, {packed.get(), static_cast<size_t>(bytes)}, give_up_);
    packed.reset();
    // Requests are served meanwhile: nobody waits for a status.
    if (!writer.status.ok() && !give_up_ && !has_complained_.exchange(true)) {
      std::fprintf(stderr, "--weight-cache: packed weights are not kept for the next start: %s\n",
                   std::string(writer.status.message()).c_str());
    }
    writer.is_done.Notify();
  });
  return absl::OkStatus();
}

absl::Status WeightCache::Flush() {
  absl::Status first;
  for (const auto& writer : writers_) {
    writer->is_done.WaitForNotification();
    first.Update(writer->status);
  }
  return first;
}

}  // namespace keel

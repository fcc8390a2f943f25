#include "apps/batch/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "apps/batch/batch_line.h"
#include "apps/batch/line_reader.h"

namespace keel::apps {
namespace {

// Longer lines were not written by this program: an answer is bounded by the model's context.
constexpr size_t kMaxLineBytes = size_t{1} << 30;

Status Failed(const std::string& what) {
  return Status(Code::kUnavailable, what + ": " + std::strerror(errno));
}

Status WriteAll(int fd, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed(name + " cannot be written");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Status();
}

Result<int> OpenLocked(const std::string& path, const std::string& name) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  // Named pipes and devices may be for writing only.
  const int usable = fd >= 0 ? fd : open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (usable < 0) return Failed(name + " cannot be written");
  if (flock(usable, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(usable);
    return Status(Code::kUnavailable, name + " is being written by another batch");
  }
  return usable;
}

bool IsFileWithContent(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
}

// Calls `fn` with each line of an output that is there already. The last one may be torn: kNoOutput.
// A mistyped name must not cost a file, so all else is refused.
Status ForEachLine(int fd, const std::string& name,
                   const std::function<Status(const LineReader::Line&, const OutputLine&)>& fn) {
  if (lseek(fd, 0, SEEK_SET) < 0) return Failed(name + " cannot be read");
  LineReader reader(fd, name, kMaxLineBytes);
  LineReader::Line line;
  int64_t torn = 0;
  while (true) {
    const Result<LineReader::Next> next = reader.Read(&line);
    if (!next.ok()) return next.status();
    if (*next != LineReader::Next::kLine) return Status();
    const OutputLine output = ReadOutputLine(line.text);
    if (torn != 0 || (output.kind == OutputKind::kNoOutput && !MayBeTorn(line.text))) {
      return Status(Code::kInvalidArgument,
                    name + ", line " + std::to_string(torn != 0 ? torn : line.number) +
                        ", is no output of a batch; name another file, or drop it by --overwrite");
    }
    if (output.kind == OutputKind::kNoOutput) torn = line.number;
    if (Status status = fn(line, output); !status.ok()) return status;
  }
}

}  // namespace

Result<std::unique_ptr<OutputFile>> OutputFile::Open(const std::string& flag,
                                                     const std::string& path, Mode mode,
                                                     EarlierLines* earlier) {
  if (path == "-") {
    if (mode != Mode::kNew) {
      return Status(Code::kInvalidArgument,
                    "--resume, --retry-failed and --overwrite need a file, "
                    "and " +
                        flag + " is standard output");
    }
    const int fd = dup(STDOUT_FILENO);
    if (fd < 0) return Failed("standard output cannot be written");
    return std::unique_ptr<OutputFile>(new OutputFile(fd, "standard output", false));
  }
  const std::string name = flag + " " + path;
  const Result<int> fd = OpenLocked(path, name);
  if (!fd.ok()) return fd.status();
  std::unique_ptr<OutputFile> file(new OutputFile(*fd, name, mode == Mode::kOverwrite));
  if (!IsFileWithContent(*fd) || mode == Mode::kOverwrite) return file;
  if (mode == Mode::kNew) {
    return Status(
        Code::kAlreadyExists,
        name + " has something in it; go on with it by --resume, or drop it by --overwrite");
  }
  Status status = mode == Mode::kRetryFailed ? file->DropFailures(path) : Status();
  if (status.ok()) status = file->Resume(earlier);
  if (!status.ok()) return status;
  return file;
}

OutputFile::~OutputFile() { close(fd_); }

Status OutputFile::Resume(EarlierLines* earlier) {
  const int64_t size = lseek(fd_, 0, SEEK_END);
  if (size == 0) return Status();  // nothing but failures was in it
  int64_t whole = size;
  Status status =
      ForEachLine(fd_, name_, [&](const LineReader::Line& line, const OutputLine& output) {
        if (output.kind == OutputKind::kNoOutput) {
          whole = line.begin;
        } else if (output.custom_id.has_value()) {
          const bool is_answer = output.kind == OutputKind::kAnswered;
          (is_answer ? earlier->answered : earlier->failed).push_back(*output.custom_id);
        }
        return Status();
      });
  if (!status.ok()) return status;
  if (whole < size) {
    if (ftruncate(fd_, whole) != 0) return Failed(name_ + " cannot be cut");
    return Status();
  }
  char last = '\n';
  if (pread(fd_, &last, 1, size - 1) != 1) return Failed(name_ + " cannot be read");
  return last == '\n' ? Status() : Append("\n");
}

// The answers are copied to a file beside it, which takes its place when it is complete.
Status OutputFile::DropFailures(const std::string& path) {
  std::error_code error;
  const std::string whole = std::filesystem::canonical(path, error).string();
  const std::string part = whole + ".part";
  const int old = fd_;
  struct stat info {};
  fstat(old, &info);
  const int fd = open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return Failed(part + " cannot be written");
  Status status =
      ForEachLine(old, name_, [&](const LineReader::Line& line, const OutputLine& output) {
        return output.kind == OutputKind::kAnswered ? WriteAll(fd, line.text + "\n", part)
                                                    : Status();
      });
  if (status.ok() &&
      (fchmod(fd, info.st_mode & 07777) != 0 || fsync(fd) != 0 ||
       flock(fd, LOCK_EX | LOCK_NB) != 0 || rename(part.c_str(), whole.c_str()) != 0)) {
    status = Failed(part + " cannot take the place of " + whole);
  }
  if (!status.ok()) {
    close(fd);
    unlink(part.c_str());
    return status;
  }
  fd_ = fd;
  close(old);
  return Status();
}

Status OutputFile::Begin() {
  if (drop_ && IsFileWithContent(fd_) && ftruncate(fd_, 0) != 0) {
    return Failed(name_ + " cannot be emptied");
  }
  return Status();
}

Status OutputFile::Append(std::string_view lines) {
  is_synced_ = false;
  return WriteAll(fd_, lines, name_);
}

Status OutputFile::Sync() {
  if (std::exchange(is_synced_, true)) return Status();
  if (fdatasync(fd_) == 0 || errno == EINVAL || errno == EROFS) return Status();
  return Failed(name_ + " cannot be written to the disk");
}

}  // namespace keel::apps

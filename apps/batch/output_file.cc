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

Result<int> OpenLocked(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  // Named pipes and devices may be for writing only.
  const int usable = fd >= 0 ? fd : open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (usable < 0) return Failed("--output " + path + " cannot be written");
  if (flock(usable, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(usable);
    return Status(Code::kUnavailable, "--output " + path + " is being written by another batch");
  }
  return usable;
}

bool IsFileWithContent(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
}

// Calls `fn` with each line of an output that is there already. The last line may be torn: kNoOutput.
Status ForEachLine(int fd, const std::string& name,
                   const std::function<Status(const std::string&, OutputKind, std::string)>& fn) {
  if (lseek(fd, 0, SEEK_SET) < 0) return Failed(name + " cannot be read");
  LineReader reader(fd, name, kMaxLineBytes);
  LineReader::Line line;
  int64_t torn = 0;
  while (true) {
    const Result<LineReader::Next> next = reader.Read(&line);
    if (!next.ok()) return next.status();
    if (*next != LineReader::Next::kLine) return Status();
    if (torn != 0) {
      return Status(Code::kInvalidArgument,
                    name + ", line " + std::to_string(torn) +
                        ", is no output of a batch; name another file, or drop it by --overwrite");
    }
    std::string custom_id;
    const OutputKind kind = ReadOutputLine(line.text, &custom_id);
    if (kind == OutputKind::kNoOutput) torn = line.number;
    if (Status status = fn(line.text, kind, std::move(custom_id)); !status.ok()) return status;
  }
}

}  // namespace

Result<std::unique_ptr<OutputFile>> OutputFile::Open(const std::string& path, Mode mode,
                                                     std::vector<std::string>* answered) {
  if (path == "-") {
    if (mode != Mode::kNew) {
      return Status(Code::kInvalidArgument,
                    "--resume and --overwrite need a file, and --output is standard output");
    }
    const int fd = dup(STDOUT_FILENO);
    if (fd < 0) return Failed("standard output cannot be written");
    return std::unique_ptr<OutputFile>(new OutputFile(fd, "standard output", false));
  }
  const Result<int> fd = OpenLocked(path);
  if (!fd.ok()) return fd.status();
  std::unique_ptr<OutputFile> file(
      new OutputFile(*fd, "--output " + path, mode == Mode::kOverwrite));
  if (IsFileWithContent(*fd)) {
    if (mode == Mode::kNew) {
      return Status(Code::kAlreadyExists, "--output " + path +
                                              " has something in it; go on with it by --resume, or "
                                              "drop it by --overwrite");
    }
    if (mode == Mode::kResume) {
      if (Status status = file->Resume(path, answered); !status.ok()) return status;
    }
  }
  return file;
}

OutputFile::~OutputFile() { close(fd_); }

// Nothing is changed if every line is an answer. Else the answers are copied to a file beside it,
// which takes its place when it is complete.
Status OutputFile::Resume(const std::string& path, std::vector<std::string>* answered) {
  bool drops = false;
  Status status = ForEachLine(fd_, name_, [&](const std::string&, OutputKind kind, std::string id) {
    if (kind == OutputKind::kAnswered) {
      answered->push_back(std::move(id));
    } else {
      drops = true;
    }
    return Status();
  });
  if (!status.ok()) return status;
  if (!drops) {
    char last = '\n';
    const off_t size = lseek(fd_, 0, SEEK_END);
    if (pread(fd_, &last, 1, size - 1) != 1) return Failed(name_ + " cannot be read");
    return last == '\n' ? Status() : WriteAll(fd_, "\n", name_);
  }

  std::error_code error;
  const std::string whole = std::filesystem::canonical(path, error).string();
  const std::string part = whole + ".part";
  const int old = fd_;
  struct stat info {};
  fstat(old, &info);
  const int fd = open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return Failed(part + " cannot be written");
  status = ForEachLine(old, name_, [&](const std::string& line, OutputKind kind, std::string) {
    return kind == OutputKind::kAnswered ? WriteAll(fd, line + "\n", part) : Status();
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

Status OutputFile::Append(std::string_view lines) { return WriteAll(fd_, lines, name_); }

}  // namespace keel::apps

#include "core/base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr size_t kMaxOutputBytes = 64 << 10;

absl::Status ErrnoStatus(int error, absl::string_view what) {
  return absl::InternalError(absl::StrCat("starting a process: ", what, ": ", strerror(error)));
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }

  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// A file in memory with `bytes`, at its start.
absl::StatusOr<Fd> MemoryFile(const std::string& bytes) {
  Fd file(memfd_create("keel-child-input", MFD_CLOEXEC));
  if (file.get() < 0) return ErrnoStatus(errno, "memfd_create");
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoStatus(errno, "write");
    done += n;
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

// stdin is empty, stdout and stderr the pipe, 3 the input; everything else is closed.
absl::StatusOr<pid_t> Spawn(const std::string& program, const std::vector<std::string>& args,
                            int input, int output) {
  posix_spawn_file_actions_t actions;
  if (int error = posix_spawn_file_actions_init(&actions)) return ErrnoStatus(error, "posix_spawn");
  const auto destroy = absl::MakeCleanup([&] { posix_spawn_file_actions_destroy(&actions); });
  int error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 2);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, input, 3);
  if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, 4);
  if (error != 0) return ErrnoStatus(error, "posix_spawn");

  posix_spawnattr_t attributes;
  if (int error = posix_spawnattr_init(&attributes)) return ErrnoStatus(error, "posix_spawn");
  const auto destroy_attributes = absl::MakeCleanup([&] { posix_spawnattr_destroy(&attributes); });
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);

  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  std::string library_path;
  std::vector<char*> environment;
  if (const char* path = getenv("LD_LIBRARY_PATH")) {
    library_path = absl::StrCat("LD_LIBRARY_PATH=", path);
    environment.push_back(library_path.data());
  }
  environment.push_back(nullptr);

  pid_t pid = 0;
  error =
      posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environment.data());
  if (error != 0) return ErrnoStatus(error, program);
  return pid;
}

// Reads until the child closes its end or `deadline`; false if that came first.
bool ReadOutput(int fd, absl::Time deadline, std::string& output) {
  char buffer[4096];
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) return false;
    pollfd poll_fd = {fd, POLLIN, 0};
    const int ready = poll(&poll_fd, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    output.append(buffer, n);
    if (output.size() > kMaxOutputBytes) output.erase(0, output.size() - kMaxOutputBytes);
  }
}

}  // namespace

absl::StatusOr<ChildResult> RunChild(const std::string& program,
                                     const std::vector<std::string>& args, const std::string& input,
                                     absl::Duration wall_limit) {
  KEEL_ASSIGN_OR_RETURN(Fd memory, MemoryFile(input));
  // Away from the numbers that Spawn assigns.
  Fd file(fcntl(memory.get(), F_DUPFD_CLOEXEC, 10));
  int ends[2];
  if (file.get() < 0 || pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  Fd output(ends[0]);
  Fd low_end(ends[1]);
  Fd child_end(fcntl(low_end.get(), F_DUPFD_CLOEXEC, 10));
  low_end.Close();
  if (child_end.get() < 0) return ErrnoStatus(errno, "fcntl");

  const absl::Time deadline = absl::Now() + wall_limit;
  KEEL_ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, args, file.get(), child_end.get()));
  child_end.Close();

  ChildResult result;
  result.timed_out = !ReadOutput(output.get(), deadline, result.output);
  if (result.timed_out) kill(pid, SIGKILL);
  pid_t waited;
  do {
    waited = waitpid(pid, &result.wait_status, 0);
  } while (waited < 0 && errno == EINTR);
  if (waited != pid) result.wait_status = -1;
  return result;
}

}  // namespace keel

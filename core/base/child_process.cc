#include "core/base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr size_t kMaxOutputBytes = 64 << 10;
constexpr int64_t kLongestPollMs = 1 << 30;

absl::Status ErrnoStatus(int error, absl::string_view what) {
  return absl::InternalError(absl::StrCat("starting a process: ", what, ": ", strerror(error)));
}

// A file in memory with `bytes`, at its start.
absl::StatusOr<FileDescriptor> MemoryFile(const std::string& bytes) {
  FileDescriptor file(memfd_create("keel-child-input", MFD_CLOEXEC));
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

// stdin is empty, stdout and stderr are `output`, 3, 4 ... `descriptors`; everything else is closed.
// All numbers must be above those that are assigned.
absl::StatusOr<pid_t> Spawn(const std::string& program, const std::vector<std::string>& args,
                            absl::Span<const FileDescriptor> descriptors, int output) {
  posix_spawn_file_actions_t actions;
  if (int error = posix_spawn_file_actions_init(&actions)) return ErrnoStatus(error, "posix_spawn");
  const auto destroy = absl::MakeCleanup([&] { posix_spawn_file_actions_destroy(&actions); });
  int error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 2);
  int next = 3;
  for (const FileDescriptor& fd : descriptors) {
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, fd.get(), next++);
  }
  if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, next);
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
    const int64_t left =
        std::min<int64_t>(absl::ToInt64Milliseconds(deadline - absl::Now()), kLongestPollMs);
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

// Waits for the end of `pid`; false if `deadline` came first. `status` is -1 if another took it.
bool WaitFor(pid_t pid, absl::Time deadline, int* status) {
  constexpr absl::Duration kLongestPause = absl::Milliseconds(10);
  absl::Duration pause = absl::Microseconds(100);
  while (true) {
    const bool forever = deadline == absl::InfiniteFuture();
    const pid_t waited = waitpid(pid, status, forever ? 0 : WNOHANG);
    if (waited == pid) return true;
    if (waited < 0 && errno != EINTR) {
      *status = -1;
      return true;
    }
    if (!forever && absl::Now() >= deadline) return false;
    if (waited == 0) absl::SleepFor(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

// A copy of `fd` away from the numbers that Spawn assigns.
absl::StatusOr<FileDescriptor> HighCopy(int fd) {
  constexpr int kAboveAll = 100;
  FileDescriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, kAboveAll));
  if (copy.get() < 0) return ErrnoStatus(errno, "fcntl");
  return copy;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const std::string& program,
                                                 const std::vector<std::string>& args,
                                                 absl::Span<const int> descriptors) {
  std::vector<FileDescriptor> copies;
  for (const int fd : descriptors) {
    KEEL_ASSIGN_OR_RETURN(copies.emplace_back(), HighCopy(fd));
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  FileDescriptor output(ends[0]);
  const FileDescriptor low_end(ends[1]);
  KEEL_ASSIGN_OR_RETURN(const FileDescriptor child_end, HighCopy(low_end.get()));
  KEEL_ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, args, copies, child_end.get()));
  return ChildProcess(pid, std::move(output));
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) Finish(absl::InfinitePast());
}

ChildResult ChildProcess::Finish(absl::Time deadline) {
  ChildResult result;
  // What has closed its output may run on.
  result.timed_out = !ReadOutput(output_.get(), deadline, result.output) ||
                     !WaitFor(pid_, deadline, &result.wait_status);
  if (result.timed_out) {
    kill(pid_, SIGKILL);
    WaitFor(pid_, absl::InfiniteFuture(), &result.wait_status);
  }
  pid_ = 0;
  return result;
}

absl::StatusOr<ChildResult> RunChild(const std::string& program,
                                     const std::vector<std::string>& args, const std::string& input,
                                     absl::Duration wall_limit) {
  KEEL_ASSIGN_OR_RETURN(const FileDescriptor file, MemoryFile(input));
  const absl::Time deadline = absl::Now() + wall_limit;
  KEEL_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(program, args, {file.get()}));
  return child.Finish(deadline);
}

}  // namespace keel

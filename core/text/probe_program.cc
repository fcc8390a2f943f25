#include "core/text/probe_program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
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
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr char kProgram[] = "keel-text-probe";
constexpr char kEnvironment[] = "KEEL_TEXT_PROBE";
// Under Bazel: in a runfiles folder, and from //core/capi's shared library.
constexpr char kInRunfiles[] = "keel/core/text/keel-text-probe";
constexpr char kBesideCapi[] = "../text/keel-text-probe";

constexpr size_t kMaxOutputBytes = 64 << 10;

absl::Status ErrnoStatus(int error, absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("starting ", kProgram, ": ", what, ": ", strerror(error)));
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

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::string ThisProgram() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  return n > 0 ? std::string(path, n) : std::string();
}

// The shared library or program that holds this code.
std::string ThisObject() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&FindProbeProgram), &info) == 0) return "";
  if (info.dli_fname == nullptr || strchr(info.dli_fname, '/') == nullptr) return "";
  char path[PATH_MAX];
  return realpath(info.dli_fname, path) != nullptr ? path : info.dli_fname;
}

std::vector<std::string> Candidates() {
  std::vector<std::string> places;
  const std::string object = ThisObject();
  const std::string program = ThisProgram();
  for (const std::string& holder : {object, program}) {
    if (holder.empty()) continue;
    places.push_back(absl::StrCat(FolderOf(holder), kProgram));
    places.push_back(absl::StrCat(FolderOf(holder), kBesideCapi));
    places.push_back(absl::StrCat(holder, ".runfiles/", kInRunfiles));
  }
  for (const char* name : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const char* dir = getenv(name)) places.push_back(absl::StrCat(dir, "/", kInRunfiles));
  }
  return places;
}

// A file in memory with `bytes`, at its start.
absl::StatusOr<Fd> MemoryFile(const std::string& bytes) {
  Fd file(memfd_create("keel-text-files", MFD_CLOEXEC));
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

absl::StatusOr<std::string> FindProbeProgram(const std::string& program) {
  const char* from_environment = getenv(kEnvironment);
  std::vector<std::string> places;
  if (!program.empty()) {
    places = {program};
  } else if (from_environment != nullptr && *from_environment != '\0') {
    places = {from_environment};
  } else {
    places = Candidates();
  }
  for (const std::string& place : places) {
    if (access(place.c_str(), X_OK) == 0) return place;
  }
  return absl::NotFoundError(absl::StrCat(
      "the program ", kProgram, ", which tries tokenizer and chat template files, is not at ",
      absl::StrJoin(places, ", "), "; install it beside Keel's library or set ", kEnvironment));
}

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

#include "core/remote/jail.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/plugin/inspect.h"
#include "core/plugin/sealed_file.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEL_HAS_SANITIZER 1
#endif

namespace keel {
namespace {

absl::Status Failed(absl::string_view what, int error) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", strerror(error)));
}

absl::Status SetLimits(const JailLimits& limits) {
  const auto bytes = static_cast<rlim_t>(limits.memory_bytes);
  struct {
    __rlimit_resource resource;
    rlimit limit;
  } const all[] = {
      {RLIMIT_AS, {bytes, bytes}},
      // The soft one alone, which the parent may move: in here nothing can.
      {RLIMIT_CPU, {static_cast<rlim_t>(limits.cpu_seconds), RLIM_INFINITY}},
      {RLIMIT_CORE, {0, 0}},
      {RLIMIT_FSIZE, {0, 0}},
      {RLIMIT_NOFILE, {16, 16}},
      {RLIMIT_MEMLOCK, {0, 0}},
  };
  for (const auto& one : all) {
    if (setrlimit(one.resource, &one.limit) != 0) return Failed("setrlimit", errno);
  }
  return absl::OkStatus();
}

// Handles every right over files that the kernel knows and grants none of them. Later kernels have
// more rights than this header names; those that open, make, change or run a file are in the first.
absl::Status ForbidFiles() {
  constexpr uint64_t kRights =
      LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
      LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
      LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
      LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
      LANDLOCK_ACCESS_FS_MAKE_SYM;
  landlock_ruleset_attr rules = {};
  rules.handled_access_fs = kRights;
  const FileDescriptor ruleset(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules.handled_access_fs), 0)));
  if (ruleset.get() < 0) return Failed("this kernel has no landlock (5.13 and later have)", errno);
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return Failed("landlock_restrict_self", errno);
  return absl::OkStatus();
}

// Says which call was denied, and ends the process. The plugin cannot replace it: sigaction is not
// allowed. Only what a signal handler may do.
void OnDenied(int, siginfo_t* info, void*) {
  char text[] = "denied system call      \n";
  char* digit = text + sizeof(text) - 3;
  for (int number = info->si_syscall; number > 0 && *digit == ' '; number /= 10) {
    *digit-- = static_cast<char>('0' + number % 10);
  }
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  _exit(Jail::kDenied);
}

// What a program needs that computes, allocates, and maps a memfd.
constexpr int kAllowed[] = {
    SCMP_SYS(brk),        SCMP_SYS(clock_gettime), SCMP_SYS(close),  SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(fstat),         SCMP_SYS(futex),  SCMP_SYS(getpid),
    SCMP_SYS(getrandom),  SCMP_SYS(gettid),        SCMP_SYS(lseek),  SCMP_SYS(madvise),
    SCMP_SYS(mmap),       SCMP_SYS(mprotect),      SCMP_SYS(mremap), SCMP_SYS(munmap),
    SCMP_SYS(newfstatat), SCMP_SYS(pread64),       SCMP_SYS(read),   SCMP_SYS(rt_sigreturn),
    SCMP_SYS(write),
};

// Tried by libraries on their way, and of no use in here.
constexpr int kFailing[] = {SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction)};

absl::Status AddRules(scmp_filter_ctx filter) {
  for (const int call : kAllowed) {
    if (int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0))
      return Failed("seccomp_rule_add", -error);
  }
  for (const int call : kFailing) {
    if (int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0))
      return Failed("seccomp_rule_add", -error);
  }
  // To read only; which files there are to read, landlock says.
  constexpr uint64_t kWrites =
      O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
  int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                               SCMP_A2(SCMP_CMP_MASKED_EQ, kWrites, O_RDONLY));
  // For abort: a signal to itself.
  if (error == 0) {
    error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())));
  }
  return error == 0 ? absl::OkStatus() : Failed("seccomp_rule_add", -error);
}

absl::Status FilterSystemCalls() {
  struct sigaction action = {};
  action.sa_sigaction = OnDenied;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return Failed("sigaction", errno);
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_TRAP),
                                                                 seccomp_release);
  if (filter == nullptr) return Failed("seccomp_init", ENOMEM);
  KEEL_RETURN_IF_ERROR(AddRules(filter.get()));
  if (int error = seccomp_load(filter.get()))
    return Failed("this kernel takes no seccomp filter", -error);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Jail> Jail::Enter(const JailLimits& limits) {
#if defined(KEEL_HAS_SANITIZER)
  (void)limits;
  return absl::UnimplementedError("this build has a sanitizer, which a jail has no room for");
#endif
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("no_new_privs", errno);
  // Nobody may look into or change this process, of which it could not know.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Failed("PR_SET_DUMPABLE", errno);
  KEEL_RETURN_IF_ERROR(ForbidFiles());
  KEEL_RETURN_IF_ERROR(SetLimits(limits));
  KEEL_RETURN_IF_ERROR(FilterSystemCalls());
  return Jail();
}

void Jail::Confine(const JailLimits& limits) {
#if defined(KEEL_HAS_SANITIZER)
  (void)limits;
#else
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ForbidFiles().IgnoreError();
  SetLimits(limits).IgnoreError();
  FilterSystemCalls().IgnoreError();
#endif
}

absl::StatusOr<AuthorizedImage> Jail::Admit(FileDescriptor fd, const std::string& name) const {
  PluginRef ref;
  ref.name = name;
  ref.origin = PluginOrigin::kCheckpoint;
  KEEL_RETURN_IF_ERROR(WithBytes(fd.get(), [&](absl::Span<const uint8_t> bytes) {
    KEEL_ASSIGN_OR_RETURN(ref.note, InspectPlugin(bytes));
    return absl::OkStatus();
  }));
  return AuthorizedImage(PluginImage(std::move(fd), "", std::move(ref)));
}

}  // namespace keel

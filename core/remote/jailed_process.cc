#include "core/remote/jailed_process.h"

#include <seccomp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/plugin/host.h"

namespace keel {
namespace {

constexpr absl::Duration kTimeToEnd = absl::Seconds(1);

// "socket" for the number that a "denied system call 41" has.
std::string DeniedCall(absl::string_view output) {
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    int number = 0;
    if (!absl::ConsumePrefix(&line, "denied system call") || !absl::SimpleAtoi(line, &number))
      continue;
    const std::unique_ptr<char, decltype(&std::free)> name(
        seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), std::free);
    return name != nullptr ? name.get() : absl::StrCat("system call ", number);
  }
  return "another system call";
}

std::string LastLine(absl::string_view output) {
  const std::vector<absl::string_view> lines = absl::StrSplit(output, '\n', absl::SkipWhitespace());
  return lines.empty() ? "" : PluginText(lines.back().data(), lines.back().size());
}

}  // namespace

absl::StatusOr<JailedProcess> JailedProcess::Start(std::string label, const std::string& program,
                                                   const std::vector<std::string>& args,
                                                   absl::Span<const int> files,
                                                   const JailOptions& options) {
  FileDescriptor other;
  KEEL_ASSIGN_OR_RETURN(Channel channel, Channel::Open(&other));
  std::vector<int> descriptors = {other.get()};
  descriptors.insert(descriptors.end(), files.begin(), files.end());
  KEEL_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(program, args, descriptors));
  return JailedProcess(std::move(label), options, std::move(channel), std::move(child));
}

absl::StatusOr<absl::Time> JailedProcess::Begin() {
  if (!alive_) return absl::UnavailableError(absl::StrCat(label_, ": its jail is gone"));
  const absl::Time deadline = absl::Now() + wall_limit_;
  clockid_t clock;
  timespec used;
  if (clock_getcpuclockid(child_.pid(), &clock) != 0 || clock_gettime(clock, &used) != 0)
    return deadline;  // it has ended, which its channel will say
  const rlimit limit = {static_cast<rlim_t>(used.tv_sec + 1 + cpu_seconds_), RLIM_INFINITY};
  if (prlimit(child_.pid(), RLIMIT_CPU, &limit, nullptr) == 0 || errno == ESRCH) return deadline;
  return Ended(absl::ErrnoToStatus(errno, "prlimit"));
}

std::string JailedProcess::HowItDied(int wait_status) const {
  switch (const int signal = WTERMSIG(wait_status)) {
    case SIGXCPU:
      return absl::StrCat("takes more than ", cpu_seconds_, " s of CPU time");
    case SIGSEGV:
    case SIGBUS:
      return absl::StrCat("crashes (", strsignal(signal), ")");
    case SIGABRT:
      return "aborts";
    default:
      return absl::StrCat("ends by ", strsignal(signal));
  }
}

absl::Status JailedProcess::Ended(const absl::Status& error) {
  alive_ = false;
  const bool late = absl::IsDeadlineExceeded(error);
  const ChildResult child =
      child_.Finish(absl::Now() + (absl::IsUnavailable(error) ? kTimeToEnd : absl::ZeroDuration()));
  if (child.wait_status >= 0 && WIFEXITED(child.wait_status) &&
      WEXITSTATUS(child.wait_status) == Jail::kNotEntered) {
    return absl::FailedPreconditionError(
        absl::StrCat(label_, ": can't be jailed here: ", LastLine(child.output)));
  }
  std::string how;
  if (late) {
    how = absl::StrCat("takes longer than ", absl::FormatDuration(wall_limit_));
  } else if (!absl::IsUnavailable(error)) {
    how = absl::StrCat("answers what is no answer: ", error.message());
  } else if (child.timed_out) {
    how = "closes its channel to the host";
  } else if (child.wait_status < 0) {
    how = "ends its process";
  } else if (WIFSIGNALED(child.wait_status)) {
    how = HowItDied(child.wait_status);
  } else if (WEXITSTATUS(child.wait_status) == Jail::kDenied) {
    how = absl::StrCat("calls ", DeniedCall(child.output), ", which a jail does not allow");
  } else {
    how = absl::StrCat("ends its process with status ", WEXITSTATUS(child.wait_status));
  }
  const std::string words = LastLine(child.output);
  const bool tell = !words.empty() && !absl::StartsWith(words, "denied system call");
  return absl::InvalidArgumentError(
      absl::StrCat(label_, ": in its jail, it ", how, tell ? ": " : "", tell ? words : ""));
}

}  // namespace keel

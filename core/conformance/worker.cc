#include "core/conformance/worker.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/child_process.h"
#include "core/conformance/graph_checks.h"
#include "core/conformance/host_tables.h"

// Defined by a sanitizer's runtime, whose shadow memory takes more than any limit, else null.
extern "C" {
__attribute__((weak)) void __asan_init();
__attribute__((weak)) void __tsan_init();
}

namespace keel::conformance {
namespace {

constexpr absl::string_view kWorkerArgument = "--worker";
constexpr absl::string_view kResult = "keel-validate: result ";
constexpr rlim_t kMaxMemory = rlim_t{8} << 30;

// A huge number in a config must not take the machine's memory before it is refused.
void LimitThisProcess() {
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (__asan_init != nullptr || __tsan_init != nullptr) return;
  const rlimit memory = {kMaxMemory, kMaxMemory};
  setrlimit(RLIMIT_AS, &memory);
}

void PrintResult(const Finding& finding) {
  const std::string line = absl::StrCat("\n", kResult, OutcomeName(finding.outcome), " ",
                                        absl::CEscape(finding.message), "\n");
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

// The result in a worker's output, or nullopt: it did not come so far.
std::optional<Finding> ReadResult(absl::string_view output) {
  const size_t at = output.rfind(kResult);
  if (at == absl::string_view::npos) return std::nullopt;
  const absl::string_view line = output.substr(at + kResult.size());
  const std::vector<std::string> parts =
      absl::StrSplit(line.substr(0, line.find('\n')), absl::MaxSplits(' ', 1));
  const std::optional<Outcome> outcome = OutcomeFromName(parts[0]);
  Finding finding;
  if (!outcome.has_value()) return std::nullopt;
  finding.outcome = *outcome;
  if (parts.size() > 1) absl::CUnescape(parts[1], &finding.message);
  return finding;
}

// " while trying to ...", by the last words of a worker.
std::string LastTried(absl::string_view output) {
  const size_t at = output.rfind(kTrying);
  if (at == absl::string_view::npos) return "";
  const absl::string_view line = output.substr(at + kTrying.size());
  return absl::StrCat(" at: ", line.substr(0, line.find('\n')));
}

std::string LastLine(absl::string_view output) {
  const absl::string_view text = absl::StripAsciiWhitespace(output);
  return std::string(text.substr(text.rfind('\n') + 1));
}

Finding Crash(const ChildResult& child) {
  const std::string tried = LastTried(child.output);
  if (WIFSIGNALED(child.wait_status)) {
    const char* name = sigabbrev_np(WTERMSIG(child.wait_status));
    return {Outcome::kCrash, absl::StrCat("SIG", name != nullptr ? name : "?", tried)};
  }
  return {Outcome::kCrash,
          absl::StrCat("ended the process with exit code ", WEXITSTATUS(child.wait_status), tried)};
}

}  // namespace

Finding RunInWorker(const std::string& program, const Subject& subject, int number,
                    absl::Duration limit) {
  std::vector<std::string> args = {std::string(kWorkerArgument), absl::StrCat(number),
                                   absl::StrCat(subject.seed), subject.plugin};
  args.insert(args.end(), subject.configs.begin(), subject.configs.end());
  const absl::StatusOr<ChildResult> child = RunChild(program, args, "", limit);
  if (!child.ok()) return Skip(std::string(child.status().message()));
  if (child->timed_out) {
    return {Outcome::kCrash, absl::StrCat("did not end within ", absl::FormatDuration(limit),
                                          LastTried(child->output))};
  }
  if (WIFEXITED(child->wait_status) && WEXITSTATUS(child->wait_status) == kPoisonExit) {
    return Fail(absl::StrCat(LastLine(child->output), LastTried(child->output)));
  }
  const std::optional<Finding> result = ReadResult(child->output);
  return result.has_value() && child->wait_status == 0 ? *result : Crash(*child);
}

std::optional<int> RunAsWorker(absl::Span<const Check> checks, int argc, const char* const* argv) {
  if (argc == 4 && std::strcmp(argv[1], kDigestArgument) == 0) {
    return PrintGraphDigest({.plugin = argv[2], .configs = {argv[3]}});
  }
  if (argc < 5 || argv[1] != kWorkerArgument) return std::nullopt;
  int number = 0;
  Subject subject;
  if (!absl::SimpleAtoi(argv[2], &number) || !absl::SimpleAtoi(argv[3], &subject.seed)) return 2;
  subject.plugin = argv[4];
  subject.configs.assign(argv + 5, argv + argc);
  LimitThisProcess();
  for (const Check& check : checks) {
    if (check.number != number) continue;
    PrintResult(check.run(subject));
    return 0;
  }
  return 2;
}

}  // namespace keel::conformance

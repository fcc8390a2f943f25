#include "core/conformance/kit.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/conformance/worker.h"

namespace keel::conformance {
namespace {

constexpr char kThisProgram[] = "/proc/self/exe";
constexpr char kNumericProgram[] = "keel-validate-numbers";

const Check* FindCheck(int number) {
  for (const Check& check : Checks()) {
    if (check.number == number) return &check;
  }
  return nullptr;
}

Finding Find(const KitOptions& options, const Requirement& requirement) {
  const Check* check = FindCheck(requirement.number);
  const bool runs_plugin = requirement.enforced != Requirement::Enforced::kFile;
  if (check != nullptr && (options.in_process || !runs_plugin)) return check->run(options.subject);
  if (check != nullptr) {
    return RunInWorker(kThisProgram, options.subject, requirement.number, options.limit);
  }
  if (options.subject.configs.empty()) return Skip("no --config was given");
  if (options.numbers_program.empty()) {
    return Skip(absl::StrCat(kNumericProgram,
                             ", which computes, is not beside this program; `./bazelw run "
                             "//apps:validate` in a copy of Keel has it"));
  }
  return RunInWorker(options.numbers_program, options.subject, requirement.number, options.limit);
}

Result Judge(const KitOptions& options, const Requirement& requirement) {
  const absl::Time start = absl::Now();
  Result result{&requirement, Find(options, requirement), {}, ""};
  result.took = absl::Now() - start;
  const bool is_should = requirement.level == Requirement::Level::kShould;
  if (is_should && result.finding.outcome == Outcome::kFail) {
    result.finding.outcome = Outcome::kWarn;
  }
  if (result.counts_as_failure()) {
    const auto waiver = options.waivers.find(requirement.number);
    if (waiver != options.waivers.end()) result.waiver = waiver->second;
  }
  return result;
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

}  // namespace

absl::StatusOr<Waivers> ParseWaivers(absl::string_view text, absl::string_view where) {
  Waivers waivers;
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    const std::vector<int> numbers = BrokenRequirements(parts[0]);
    const auto bad = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ":", line_number, ": ", what, ", expected \"KEEL-PLG-050 why it is waived\""));
    };
    if (numbers.size() != 1 || RequirementId(numbers[0]) != parts[0] ||
        FindRequirement(numbers[0]) == nullptr) {
      return bad(absl::StrCat("'", parts[0], "' is no requirement"));
    }
    const absl::string_view reason =
        absl::StripAsciiWhitespace(parts.size() > 1 ? absl::string_view(parts[1]) : "");
    if (reason.empty()) return bad(absl::StrCat(parts[0], " has no reason"));
    waivers[numbers[0]] = std::string(reason);
  }
  return waivers;
}

std::vector<Result> Validate(const KitOptions& options) {
  std::vector<const Requirement*> wanted;
  for (const Requirement& requirement : Requirements()) {
    if (options.groups.empty() || options.groups.find(requirement.group) != std::string::npos) {
      wanted.push_back(&requirement);
    }
  }
  std::vector<Result> results(wanted.size());
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  int done = 0;
  const auto work = [&] {
    for (size_t i = next++; i < wanted.size(); i = next++) {
      results[i] = Judge(options, *wanted[i]);
      const std::lock_guard<std::mutex> lock(mutex);
      ++done;
      if (options.on_result) options.on_result(results[i], done, static_cast<int>(wanted.size()));
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < options.jobs && !options.in_process; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return results;
}

std::string NumericProgram() {
  char path[PATH_MAX];
  const ssize_t n = readlink(kThisProgram, path, sizeof(path));
  if (n <= 0) return "";
  const std::string program(path, n);
  std::vector<std::string> places = {absl::StrCat(FolderOf(program), kNumericProgram)};
  const std::string in_runfiles = absl::StrCat("keel/core/conformance/", kNumericProgram);
  places.push_back(absl::StrCat(program, ".runfiles/", in_runfiles));
  for (const char* name : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const char* dir = getenv(name)) places.push_back(absl::StrCat(dir, "/", in_runfiles));
  }
  for (const std::string& place : places) {
    if (access(place.c_str(), X_OK) == 0) return place;
  }
  return "";
}

}  // namespace keel::conformance

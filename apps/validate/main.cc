// keel-validate: tells the author of a plugin what it does not keep, and a CI system by its exit code.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "apps/common/paths.h"
#include "apps/common/progress.h"
#include "apps/validate/flags.h"
#include "apps/validate/table.h"
#include "core/conformance/note.h"
#include "core/conformance/report.h"
#include "core/conformance/worker.h"

namespace keel::apps {
namespace {

using conformance::Result;

constexpr int kWrongFlags = 2;

bool Write(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  if (path == "-") {
    std::cout << text << std::flush;
    return true;
  }
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) std::cerr << "keel-validate: " << path << ": cannot be written\n";
  return static_cast<bool>(file);
}

std::vector<Result> RunKit(ValidateFlags& flags) {
  Progress progress;
  flags.kit.numbers_program = conformance::NumericProgram();
  flags.kit.on_result = [&](const Result& result, int done, int total) {
    progress.Show("checking", done, total, RequirementId(result.requirement->number));
  };
  return conformance::Validate(flags.kit);
}

// What the flags ask for beyond the requirements. False: it failed, and why is on stderr.
bool CheckNote(const ValidateFlags& flags) {
  if (flags.architectures.empty()) return true;
  const absl::Status status =
      conformance::CheckArchitectures(flags.kit.subject.plugin, flags.architectures);
  if (!status.ok()) std::cerr << status.message() << "\n";
  return status.ok();
}

bool WriteManifest(const ValidateFlags& flags) {
  if (flags.manifest.empty()) return true;
  const absl::StatusOr<std::string> manifest =
      conformance::CheckpointManifest(flags.kit.subject.plugin);
  if (!manifest.ok()) std::cerr << manifest.status().message() << "\n";
  return manifest.ok() && Write(flags.manifest, *manifest);
}

int Main(int argc, const char* const* argv) {
  EnterUsersDirectory();
  ValidateFlags flags;
  if (const auto code = ParseValidateFlags(argc, argv, &flags)) return *code;
  if (flags.list) {
    std::cout << RequirementList();
    return 0;
  }
  const std::vector<Result> results = RunKit(flags);
  const conformance::Subject& subject = flags.kit.subject;
  bool failed = false;
  // What a program reads on stdout must stand there alone.
  std::ostream& people = flags.json == "-" || flags.junit == "-" ? std::cerr : std::cout;
  const bool colour = isatty(&people == &std::cout ? STDOUT_FILENO : STDERR_FILENO) != 0;
  for (const Result& result : results) {
    people << ResultLine(result, colour);
    failed = failed || result.counts_as_failure();
  }
  people << SummaryLine(subject.plugin, results) << std::flush;
  if (!Write(flags.json, conformance::JsonReport(subject, results)) ||
      !Write(flags.junit, conformance::JunitReport(subject, results))) {
    return kWrongFlags;
  }
  failed = failed || !CheckNote(flags);
  if (!failed && !WriteManifest(flags)) return kWrongFlags;
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace keel::apps

int main(int argc, char** argv) {
  if (const auto code = keel::conformance::RunAsWorker(keel::conformance::Checks(), argc, argv)) {
    return *code;
  }
  return keel::apps::Main(argc, argv);
}

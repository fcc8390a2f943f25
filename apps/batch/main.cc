// keel-batch: answers a file of requests, without a server.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/batch/attempt_log.h"
#include "apps/batch/batch_flags.h"
#include "apps/batch/batch_job.h"
#include "apps/batch/batch_progress.h"
#include "apps/batch/line_reader.h"
#include "apps/batch/output_file.h"
#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "apps/common/programs.h"
#include "apps/common/signals.h"

namespace keel::apps {
namespace {

constexpr int kJobFailed = 1, kWrongFlags = 2, kSomeLinesFailed = 3, kInterrupted = 130;

int Fail(const Status& status) {
  std::cerr << "keel-batch: " << status.message() << "\n";
  return kJobFailed;
}

Result<int> OpenInput(const std::string& path) {
  if (path == "-") return STDIN_FILENO;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || fstat(fd, &info) != 0) {
    return Status(Code::kNotFound, "--input " + path + " cannot be read: " + std::strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    return Status(Code::kInvalidArgument,
                  "--input " + path + " is a directory, expected a file of JSON lines");
  }
  return fd;
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat first {
  }, second{};
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 && S_ISREG(first.st_mode) &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool IsRegularFile(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

// Twice what fits in a step: the engine never waits for the next line to be read and tokenized.
size_t DefaultInFlight(const CommandLine& command_line) {
  const int64_t n = command_line.EngineNumber("max-num-seqs");
  return n > 0 ? 2 * static_cast<size_t>(n) : 128;
}

void LogSummary(const BatchCounts& counts, double seconds) {
  std::string text = std::to_string(counts.lines) + " lines: " + std::to_string(counts.answered) +
                     " answered, " + std::to_string(counts.failed) + " failed";
  if (counts.answered_before > 0) {
    text += ", " + std::to_string(counts.answered_before) + " answered before";
  }
  if (counts.failed_before > 0) {
    text += ", " + std::to_string(counts.failed_before) + " failed before";
  }
  char speed[64];
  std::snprintf(speed, sizeof(speed), " output tokens in %.1f s, %.1f tokens/s", seconds,
                static_cast<double>(counts.output_tokens) / seconds);
  for (const std::string& reason : counts.reasons) LogError(reason);
  if (counts.failed > static_cast<int64_t>(counts.reasons.size())) {
    LogError("and others; the output says each line's");
  }
  LogInfo(text + "; " + std::to_string(counts.prompt_tokens) + " prompt tokens, " +
          std::to_string(counts.output_tokens) + speed);
}

// What Ctrl-C stops; null before and after it runs.
std::mutex job_mutex;
BatchJob* running_job = nullptr;
BatchProgress* running_progress = nullptr;

void SetRunning(BatchJob* job, BatchProgress* progress) {
  std::lock_guard lock(job_mutex);
  running_job = job;
  running_progress = progress;
}

void StopRunning() {
  std::lock_guard lock(job_mutex);
  if (running_job == nullptr) std::_Exit(kInterrupted);
  LogInfo("finishing the lines that run; once more ends at once");
  running_progress->SetEnding();
  running_job->Stop();
}

// Where lines come from and go to.
struct Files {
  LineReader input;
  std::unique_ptr<OutputFile> output;
  std::unique_ptr<OutputFile> separate_errors;  // null: in output
  EarlierLines earlier = {};

  OutputFile& errors() { return separate_errors == nullptr ? *output : *separate_errors; }
};

Result<Files> OpenFiles(const BatchFlags& flags) {
  const Result<int> input = OpenInput(flags.input);
  if (!input.ok()) return input.status();
  const std::pair<const char*, const std::string&> named[] = {
      {"--input", flags.input}, {"--output", flags.output}, {"--errors", flags.errors}};
  for (const auto& [a, b] : {std::pair(0, 1), {0, 2}, {1, 2}}) {
    const std::string &first = named[a].second, &second = named[b].second;
    const bool is_one_path = first == second && !first.empty() && first != "-";
    if (!is_one_path && !IsSameFile(first, second)) continue;
    return Status(Code::kInvalidArgument, std::string(named[a].first) + " and " + named[b].first +
                                              " are the same file, " + named[a].second +
                                              ", expected two");
  }
  Files files{.input = LineReader(*input, "--input " + flags.input, flags.max_line_bytes),
              .output = nullptr,
              .separate_errors = nullptr};
  auto output = OutputFile::Open("--output", flags.output, flags.mode(), &files.earlier);
  if (!output.ok()) return output.status();
  files.output = *std::move(output);
  if (flags.errors.empty() || (flags.errors == "-" && flags.output == "-")) return files;
  auto errors = OutputFile::Open("--errors", flags.errors, flags.mode(), &files.earlier);
  if (!errors.ok()) return errors.status();
  files.separate_errors = *std::move(errors);
  return files;
}

int Run(const BatchFlags& flags, BatchOptions options, LoadedModel loaded, Files files) {
  for (OutputFile* file : {files.output.get(), &files.errors()}) {
    if (Status status = file->Begin(); !status.ok()) return Fail(status);
  }
  std::unique_ptr<AttemptLog> attempts;
  if (flags.counts_crashes()) {
    auto log = AttemptLog::Open(AttemptLog::PathFor(flags.output),
                                flags.mode() == OutputFile::Mode::kResume);
    if (!log.ok()) return Fail(log.status());
    attempts = *std::move(log);
    options.attempts = attempts.get();
  }
  BatchProgress progress;
  options.on_progress = [&progress](const BatchCounts& counts) { progress.Show(counts); };
  const Shard shard = options.shard;
  BatchJob job(loaded.engine, loaded.names, files.input, *files.output, files.errors(),
               std::move(options), std::exchange(files.earlier, {}));
  std::jthread counter;
  if (IsRegularFile(files.input.fd()) && flags.input != "-") {
    counter = std::jthread([&progress, shard, path = flags.input](std::stop_token stop) {
      progress.SetTotal(shard.Size(CountLines(path, std::move(stop))));
    });
  }
  SetRunning(&job, &progress);
  const Status status = job.Run();
  SetRunning(nullptr, nullptr);
  progress.Clear();
  LogSummary(job.counts(), progress.seconds());
  if (!status.ok()) return Fail(status);
  if (job.is_interrupted()) {
    LogInfo("interrupted; --resume goes on");
    return kInterrupted;
  }
  const bool failed = job.counts().failed + job.counts().failed_before > 0;
  return failed && !flags.allow_failed_lines ? kSomeLinesFailed : 0;
}

}  // namespace

int BatchMain(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  BatchFlags flags;
  CommandLine command_line("keel-batch",
                           "Answers a file of requests in the format of OpenAI's batches, many at "
                           "once. Without --model: by the demo model.");
  AddBatchFlags(command_line.app(), &flags);
  command_line.AddEngineFlags();
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  if (flags.max_in_flight == 0) flags.max_in_flight = DefaultInFlight(command_line);
  Result<BatchOptions> options = flags.ToOptions();
  if (!options.ok()) {
    Fail(options.status());
    return kWrongFlags;
  }

  std::signal(SIGPIPE, SIG_IGN);
  HandleStopSignals(StopRunning, kInterrupted);

  // What can be wrong with the files first: the model takes longer.
  auto files = OpenFiles(flags);
  if (!files.ok()) return Fail(files.status());
  auto loaded = LoadModel(command_line, demo_model, flags.names);
  if (!loaded.ok()) return Fail(loaded.status());
  return Run(flags, *std::move(options), *std::move(loaded), *std::move(files));
}

}  // namespace keel::apps

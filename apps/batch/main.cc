// keel-batch: answers a file of requests, without a server.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/batch/batch_job.h"
#include "apps/batch/line_reader.h"
#include "apps/batch/output_file.h"
#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "apps/common/programs.h"
#include "apps/common/progress.h"
#include "apps/common/signals.h"

namespace keel::apps {
namespace {

constexpr int kJobFailed = 1, kSomeLinesFailed = 3, kInterrupted = 130;

struct Flags {
  std::string input, output;
  bool resume = false, overwrite = false;
  std::vector<std::string> names;
  size_t max_line_bytes = 64 << 20;
  BatchOptions batch{.max_in_flight = 0, .keep_order = false};
};

// Without its name, which would stand in --help.
CLI::Validator IsPositive() { return CLI::Validator(CLI::PositiveNumber).description(""); }

void AddFlags(CLI::App& app, Flags* flags) {
  constexpr char kGroup[] = "Batch";
  app.add_option("-i,--input,--input-file", flags->input,
                 "Requests, one a line: {\"custom_id\", \"method\": \"POST\", \"url\": "
                 "\"/v1/chat/completions\" or \"/v1/completions\", \"body\"}, or the body alone, "
                 "{\"prompt\": ...} or {\"messages\": ...}; '-' is standard input.")
      ->type_name("FILE")
      ->required()
      ->group(kGroup);
  app.add_option("-o,--output,--output-file", flags->output,
                 "Where answers go, a line for each request as soon as it is finished; match them "
                 "by custom_id. '-' is standard output.")
      ->type_name("FILE")
      ->required()
      ->group(kGroup);
  auto* resume = app.add_flag("--resume", flags->resume,
                              "Go on with --output: keep the answers in it, run the other lines. "
                              "Lines that failed are run again.")
                     ->group(kGroup);
  app.add_flag("--overwrite", flags->overwrite, "Drop what is in --output.")
      ->excludes(resume)
      ->group(kGroup);
  app.add_flag("--keep-order", flags->batch.keep_order,
               "Write in the order of the input. A line then waits for all before it, and is lost "
               "if the process is killed meanwhile.")
      ->group(kGroup);
  app.add_option("--max-in-flight,--max-inflight", flags->batch.max_in_flight,
                 "Requests that the engine has at once, running or next. Default: twice "
                 "--max-num-seqs.")
      ->type_name("N")
      ->check(IsPositive())
      ->group(kGroup);
  app.add_option("--max-line-bytes", flags->max_line_bytes,
                 "Longest line of the input, in bytes; longer ones fail.")
      ->type_name("BYTES")
      ->check(IsPositive())
      ->group(kGroup)
      ->capture_default_str();
  app.add_option("--served-model-name", flags->names,
                 "Name that requests may call the model by. May be repeated; the first is the one "
                 "in answers.")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group(kGroup)
      ->default_str("as --model");
  app.footer(
      "Ctrl-C finishes the lines that run and ends; a second one ends at once. Exit codes: 0 all\n"
      "lines are answered, 1 the job failed, 2 wrong flags, 3 lines failed (the output says which\n"
      "and why), 130 interrupted. --resume goes on after any of them.");
}

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
  if (counts.skipped > 0) text += ", " + std::to_string(counts.skipped) + " answered before";
  char speed[64];
  std::snprintf(speed, sizeof(speed), " output tokens in %.1f s, %.1f tokens/s", seconds,
                static_cast<double>(counts.output_tokens) / seconds);
  for (const std::string& reason : counts.reasons) LogError(reason);
  if (counts.failed > static_cast<int64_t>(counts.reasons.size())) {
    LogError("and others; --output says each line's");
  }
  LogInfo(text + "; " + std::to_string(counts.prompt_tokens) + " prompt tokens, " +
          std::to_string(counts.output_tokens) + speed);
}

// What Ctrl-C stops; null before and after it runs.
std::mutex job_mutex;
BatchJob* running_job = nullptr;

void SetRunningJob(BatchJob* job) {
  std::lock_guard lock(job_mutex);
  running_job = job;
}

void StopRunningJob() {
  std::lock_guard lock(job_mutex);
  if (running_job == nullptr) std::_Exit(kInterrupted);
  LogInfo("finishing the lines that run; once more ends at once");
  running_job->Stop();
}

int Run(const Flags& flags, LoadedModel loaded, LineReader& reader, OutputFile& output,
        const std::vector<std::string>& answered) {
  const auto start = std::chrono::steady_clock::now();
  if (Status status = output.Begin(); !status.ok()) return Fail(status);
  BatchJob job(loaded.engine, loaded.names, reader, output, flags.batch, answered);
  std::jthread counter;
  if (IsRegularFile(reader.fd()) && flags.input != "-") {
    counter = std::jthread([&job, path = flags.input](std::stop_token stop) {
      job.SetTotal(CountLines(path, std::move(stop)));
    });
  }
  SetRunningJob(&job);
  const Status status = job.Run();
  SetRunningJob(nullptr);
  LogSummary(job.counts(),
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (!status.ok()) return Fail(status);
  if (job.is_interrupted()) {
    LogInfo("interrupted; --resume goes on");
    return kInterrupted;
  }
  return job.counts().failed > 0 ? kSomeLinesFailed : 0;
}

}  // namespace

int BatchMain(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  Flags flags;
  CommandLine command_line("keel-batch",
                           "Answers a file of requests in the format of OpenAI's batches, many at "
                           "once. Without --model: by the demo model.");
  AddFlags(command_line.app(), &flags);
  command_line.AddEngineFlags();
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  if (flags.batch.max_in_flight == 0) flags.batch.max_in_flight = DefaultInFlight(command_line);

  std::signal(SIGPIPE, SIG_IGN);
  HandleStopSignals(StopRunningJob, kInterrupted);

  // What can be wrong with the files first: the model takes longer.
  const Result<int> input = OpenInput(flags.input);
  if (!input.ok()) return Fail(input.status());
  if (IsSameFile(flags.input, flags.output)) {
    return Fail(Status(Code::kInvalidArgument, "--input and --output are the same file, " +
                                                   flags.input + ", expected two"));
  }
  LineReader reader(*input, "--input " + flags.input, flags.max_line_bytes);
  std::vector<std::string> answered;
  const auto mode = flags.resume      ? OutputFile::Mode::kResume
                    : flags.overwrite ? OutputFile::Mode::kOverwrite
                                      : OutputFile::Mode::kNew;
  const auto output = OutputFile::Open(flags.output, mode, &answered);
  if (!output.ok()) return Fail(output.status());
  auto loaded = LoadModel(command_line, demo_model, flags.names);
  if (!loaded.ok()) return Fail(loaded.status());
  return Run(flags, *std::move(loaded), reader, **output, answered);
}

}  // namespace keel::apps

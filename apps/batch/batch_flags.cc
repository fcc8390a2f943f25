#include "apps/batch/batch_flags.h"

#include <chrono>

namespace keel::apps {
namespace {

constexpr char kFiles[] = "Batch files", kRun[] = "Batch";

// Without its name, which would stand in --help.
CLI::Validator IsPositive() { return CLI::Validator(CLI::PositiveNumber).description(""); }
CLI::Validator IsNotNegative() { return CLI::Validator(CLI::NonNegativeNumber).description(""); }

void AddFileFlags(CLI::App& app, BatchFlags* flags) {
  app.add_option("-i,--input,--input-file", flags->input,
                 "Requests, one a line: {\"custom_id\", \"method\": \"POST\", \"url\": "
                 "\"/v1/chat/completions\" or another endpoint of the server, \"body\"}, or the "
                 "body alone, {\"prompt\"}, {\"messages\"} or {\"input\"}, whose custom_id is "
                 "line-N. '-' is standard input.")
      ->type_name("FILE")
      ->required()
      ->group(kFiles);
  app.add_option("-o,--output,--output-file", flags->output,
                 "Where answers go, a line for each request as soon as it is finished; match them "
                 "by custom_id. '-' is standard output.")
      ->type_name("FILE")
      ->required()
      ->group(kFiles);
  app.add_option("-e,--errors,--error-file", flags->errors,
                 "Where lines that failed go, in the same format.")
      ->type_name("FILE")
      ->group(kFiles)
      ->default_str("--output");
  app.add_flag("--resume", flags->resume,
               "Go on with --output and --errors: run the lines of the input that are in neither, "
               "known by their custom_id, and cut off a last line that is torn. What a killed "
               "process has written stays, so each line is answered once.")
      ->group(kFiles);
  app.add_flag("--retry-failed", flags->retry_failed,
               "The same, but drop lines that failed and run them again.")
      ->group(kFiles);
  app.add_flag("--overwrite", flags->overwrite, "Drop what is in --output and --errors.")
      ->excludes("--resume")
      ->excludes("--retry-failed")
      ->group(kFiles);
  app.add_option("--fsync-seconds", flags->fsync_seconds,
                 "How often what was written is made safe against a loss of power, by fdatasync; "
                 "also at the end. 0: whenever lines were written. A process that is killed loses "
                 "nothing that it has written in any case.")
      ->type_name("SECONDS")
      ->check(IsNotNegative())
      ->group(kFiles)
      ->capture_default_str();
}

void AddRunFlags(CLI::App& app, BatchFlags* flags) {
  app.add_option("--shard", flags->shard,
                 "Run a part of the input alone, every N-th line from line I+1 on: 0/4, 1/4, 2/4 "
                 "and 3/4 share it. Each run needs an --output of its own.")
      ->type_name("I/N")
      ->group(kRun);
  app.add_flag("--keep-order", flags->keep_order,
               "Write in the order of the input. A line then waits for all before it, and is run "
               "again if the process is killed meanwhile.")
      ->group(kRun);
  app.add_option("--retries", flags->retries,
                 "How often a line is run again whose request the engine failed (status 500 or "
                 "503). What is wrong with the line itself (4xx) is not run again.")
      ->type_name("N")
      ->check(IsNotNegative())
      ->group(kRun)
      ->capture_default_str();
  app.add_option(
         "--max-crashes", flags->max_crashes,
         "How many processes may die while they run a line before it is a failed line, "
         "instead of killing each --resume; at its last chance it is run alone. Where lines "
         "are is in OUTPUT.attempts, until all are written. 0: any number.")
      ->type_name("N")
      ->check(IsNotNegative())
      ->group(kRun)
      ->capture_default_str();
  app.add_flag("--allow-failed-lines", flags->allow_failed_lines,
               "Exit with 0 although lines failed: for callers that would run all of them again, "
               "as Spark does.")
      ->group(kRun);
  app.add_option("--max-in-flight,--max-inflight", flags->max_in_flight,
                 "Requests that the engine has at once, running or next. Default: twice "
                 "--max-num-seqs.")
      ->type_name("N")
      ->check(IsPositive())
      ->group(kRun);
  app.add_option("--max-line-bytes", flags->max_line_bytes,
                 "Longest line of the input, in bytes; longer ones fail.")
      ->type_name("BYTES")
      ->check(IsPositive())
      ->group(kRun)
      ->capture_default_str();
  app.add_option("--served-model-name", flags->names,
                 "Name that requests may call the model by. May be repeated; the first is the one "
                 "in answers.")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group(kRun)
      ->default_str("as --model");
}

}  // namespace

OutputFile::Mode BatchFlags::mode() const {
  if (retry_failed) return OutputFile::Mode::kRetryFailed;
  if (resume) return OutputFile::Mode::kResume;
  return overwrite ? OutputFile::Mode::kOverwrite : OutputFile::Mode::kNew;
}

Result<BatchOptions> BatchFlags::ToOptions() const {
  BatchOptions options;
  if (!shard.empty()) {
    const Result<Shard> part = ParseShard(shard);
    if (!part.ok()) return part.status();
    options.shard = *part;
  }
  options.max_in_flight = max_in_flight;
  options.keep_order = keep_order;
  options.retries = retries;
  options.max_crashes = max_crashes;
  options.sync_interval = std::chrono::seconds(fsync_seconds);
  return options;
}

void AddBatchFlags(CLI::App& app, BatchFlags* flags) {
  AddFileFlags(app, flags);
  AddRunFlags(app, flags);
  app.footer(
      "Progress goes to stderr. Ctrl-C finishes the lines that run and ends; a second one ends at\n"
      "once. Exit codes: 0 all lines are answered, 1 the job failed, 2 wrong flags, 3 lines "
      "failed\n"
      "(the output says which and why), 130 interrupted. --resume goes on after any of them, and\n"
      "after a kill.");
}

}  // namespace keel::apps

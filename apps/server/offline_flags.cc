#include "apps/server/offline_flags.h"

#include <algorithm>

namespace keel::apps {
namespace {

// Without its name, which would stand in --help.
CLI::Validator IsPositive() { return CLI::Validator(CLI::PositiveNumber).description(""); }

}  // namespace

void AddOfflineFlags(CommandLine& command_line, OfflineOptions* options) {
  constexpr char kGroup[] = "Files and batches";
  CLI::App& app = command_line.app();
  app.add_option("--files-dir", options->files_dir,
                 "Directory for /v1/files and /v1/batches, which survive the server's end there. "
                 "One server at a time.")
      ->type_name("DIR")
      ->group(kGroup)
      ->default_str("none, and these endpoints answer 404");
  app.add_option("--max-files-bytes", options->max_files_bytes,
                 "What all files may take together; uploads beyond it are refused. 0: any number.")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false).description(""))
      ->type_name("BYTES")
      ->group(kGroup)
      ->default_str("16GiB");
  app.add_option(
         "--max-batch-file-bytes", options->max_batch_file_bytes,
         "Longest upload of a file. It goes to --files-dir as it comes, not through memory.")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false).description(""))
      ->type_name("BYTES")
      ->check(IsPositive())
      ->group(kGroup)
      ->default_str("512MiB");
  app.add_option("--max-batch-lines", options->max_batch_lines, "Most lines of a batch.")
      ->type_name("N")
      ->check(IsPositive())
      ->group(kGroup)
      ->capture_default_str();
  app.add_option(
         "--batch-max-in-flight", options->batch_max_in_flight,
         "Requests of batches that the engine has at once. While a call of a client runs, a "
         "quarter of them, and one less for each other call, down to one.")
      ->type_name("N")
      ->check(IsPositive())
      ->group(kGroup)
      ->default_str("half of --max-num-seqs");
  app.add_option("--batch-max-crashes", options->batch_max_crashes,
                 "How often the server may die while it runs a line of a batch before that is a "
                 "failed line; at its last chance no other line runs beside it. 0: any number.")
      ->type_name("N")
      ->check(CLI::Validator(CLI::NonNegativeNumber).description(""))
      ->group(kGroup)
      ->capture_default_str();
}

void CompleteOfflineFlags(const CommandLine& command_line, OfflineOptions* options) {
  if (options->batch_max_in_flight > 0) return;
  const int64_t half = command_line.EngineNumber("max-num-seqs") / 2;
  options->batch_max_in_flight = static_cast<size_t>(std::max<int64_t>(1, half));
}

}  // namespace keel::apps

// The flags of keel-batch that are its own.
#ifndef KEEL_APPS_BATCH_BATCH_FLAGS_H_
#define KEEL_APPS_BATCH_BATCH_FLAGS_H_

#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "CLI/App.hpp"
#include "apps/batch/batch_job.h"
#include "apps/batch/output_file.h"

namespace keel::apps {

struct BatchFlags {
  std::string input, output, errors;  // errors empty: in output
  bool resume = false, retry_failed = false, overwrite = false;
  std::string shard;
  std::vector<std::string> names;
  size_t max_line_bytes = 64 << 20;
  size_t max_in_flight = 0;  // 0: by the engine
  bool keep_order = false;
  int retries = 2;
  int max_crashes = 3;
  int fsync_seconds = 5;
  bool allow_failed_lines = false;

  OutputFile::Mode mode() const;
  // Of a pipe nothing can be resumed.
  bool counts_crashes() const {
    std::error_code error;
    return max_crashes > 0 && std::filesystem::is_regular_file(output, error);
  }
  // An error names the flag.
  Result<BatchOptions> ToOptions() const;
};

void AddBatchFlags(CLI::App& app, BatchFlags* flags);

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_BATCH_FLAGS_H_

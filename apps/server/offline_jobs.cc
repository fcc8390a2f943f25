#include "apps/server/offline_jobs.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

namespace keel::apps {

Result<std::unique_ptr<OfflineJobs>> OfflineJobs::Open(const OfflineOptions& options,
                                                       const EndpointContext& context) {
  std::error_code error;
  // What clients leave here is nobody else's.
  if (std::filesystem::create_directories(options.files_dir, error))
    std::filesystem::permissions(options.files_dir, std::filesystem::perms::owner_all, error);
  if (error) {
    return Status(Code::kUnavailable,
                  "--files-dir " + options.files_dir + " cannot be made: " + error.message());
  }
  auto database = Database::Open(options.files_dir + "/keel.sqlite");
  if (!database.ok())
    return Status(database.status().code(), "--files-dir: " + database.status().message());
  std::unique_ptr<OfflineJobs> jobs(new OfflineJobs());
  jobs->database_ = *std::move(database);
  auto files = FileStore::Create(*jobs->database_, options.files_dir, options.max_files_bytes);
  if (!files.ok()) return files.status();
  jobs->files_ = *std::move(files);
  auto batches = BatchStore::Create(*jobs->database_);
  if (!batches.ok()) return batches.status();
  jobs->batches_ = *std::move(batches);
  jobs->queue_ = std::make_unique<BatchQueue>(
      *jobs->files_, *jobs->batches_,
      BatchQueueOptions{
          .model_names = context.models.names(),
          .acquire = [&context](const std::string& model) { return context.models.Acquire(model); },
          .num_calls = [&context] { return context.calls.size(); },
          .max_in_flight = std::max<size_t>(1, options.batch_max_in_flight),
          .max_lines = options.max_batch_lines,
          .limits = context.limits,
          .max_crashes = options.batch_max_crashes});
  const auto in_use = jobs->queue_->FilesInUse();
  if (!in_use.ok()) return in_use.status();
  if (Status status = jobs->files_->RemoveStrays(*in_use); !status.ok()) return status;
  return jobs;
}

CallError NoOfflineJobs() {
  return {.code = ErrorCode::kNotFound,
          .message = "this server keeps no files and runs no batches; start it with --files-dir"};
}

CallError StoreError(const Status& status, std::string field) {
  CallError error = FromEngine(status, std::move(field));
  // No room: the same call stays refused until files are deleted.
  if (status.code() == Code::kResourceExhausted) error.code = ErrorCode::kBodyTooLarge;
  return error;
}

}  // namespace keel::apps

// What clients leave with the server to be worked on later: OpenAI's files and batches.
#ifndef KEEL_APPS_SERVER_OFFLINE_JOBS_H_
#define KEEL_APPS_SERVER_OFFLINE_JOBS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "apps/server/batch_queue.h"
#include "apps/server/endpoints.h"
#include "apps/server/router.h"
#include "apps/server/store/batch_store.h"
#include "apps/server/store/database.h"
#include "apps/server/store/file_store.h"

namespace keel::apps {

struct OfflineOptions {
  std::string files_dir;  // empty: no files and no batches
  int64_t max_files_bytes = int64_t{16} << 30;
  int64_t max_batch_file_bytes = int64_t{512} << 20;  // of one upload
  int64_t max_batch_lines = 50'000;
  size_t batch_max_in_flight = 0;  // 0: one
  int batch_max_crashes = 3;
};

class OfflineJobs {
 public:
  // Makes the directory if there is none. `context` must outlive the jobs.
  static Result<std::unique_ptr<OfflineJobs>> Open(const OfflineOptions& options,
                                                   const EndpointContext& context);

  FileStore& files() { return *files_; }
  BatchStore& batches() { return *batches_; }
  BatchQueue& queue() { return *queue_; }

 private:
  OfflineJobs() = default;

  std::unique_ptr<Database> database_;
  std::unique_ptr<FileStore> files_;
  std::unique_ptr<BatchStore> batches_;
  std::unique_ptr<BatchQueue> queue_;
};

// Where files are uploaded.
inline constexpr std::string_view kFilesPath = "/v1/files";

// /v1/files and /v1/batches; `jobs` may be null, and else must outlive the server.
void AddFileEndpoints(Router& router, OfflineJobs* jobs);
void AddBatchEndpoints(Router& router, OfflineJobs* jobs);
// For the endpoints of both: an error in words where there are no jobs.
CallError NoOfflineJobs();
// Of a store or the queue.
CallError StoreError(const Status& status, std::string field = "");

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_OFFLINE_JOBS_H_

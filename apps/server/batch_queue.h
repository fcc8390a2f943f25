// Runs the batches of a server, one after the other, beside the calls of its clients.
#ifndef KEEL_APPS_SERVER_BATCH_QUEUE_H_
#define KEEL_APPS_SERVER_BATCH_QUEUE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/batch/batch_job.h"
#include "apps/server/store/batch_store.h"
#include "apps/server/store/file_store.h"
#include "apps/wire/call.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct BatchQueueOptions {
  std::vector<std::string> model_names;
  // The engine of a model, loaded first if need be; it stays while this lives.
  std::function<Result<std::shared_ptr<Engine>>(const std::string& model)> acquire;
  std::function<size_t()> num_calls;  // of clients, that run now; they go first
  size_t max_in_flight = 32;          // requests
  int64_t max_lines = 50'000;         // of a batch
  CallLimits limits = {};
  int max_crashes = 3;  // of the process, while it runs a line; 0: any number
  // After what may go by itself: no memory for the model, no room on the disk.
  std::chrono::milliseconds try_again{10'000};
};

// What a batch has written stays when the process ends, however it ends, and the next one goes on with
// the other lines.
class BatchQueue {
 public:
  // The stores must outlive the queue.
  BatchQueue(FileStore& files, BatchStore& batches, BatchQueueOptions options);
  ~BatchQueue() { Close(); }

  // Begins with what is to be run. All functions may be called from any thread.
  void Start();
  // Something in the store has changed: a batch has come, or is to be cancelled.
  void Wake();
  // Ends soon; lines that run are run again by the next process.
  void Close();

  // Files of batches that have not ended: their input and what they write.
  Result<std::vector<std::string>> FilesInUse();
  // FAILED_PRECONDITION: it has ended.
  Result<Batch> Cancel(const std::string& id);

 private:
  class Run;

  // Requests that are not to be in flight now.
  size_t RoomForCalls() const;
  void Loop();
  // True: something was done, and there may be more.
  Result<bool> RunNext();
  // What is too late and was not begun.
  Status ExpireWaiting(const std::vector<Batch>& batches);
  Status Validate(const Batch& batch);
  Status RunLines(const Batch& batch);
  Status FailBatch(const std::string& id, BatchFault fault);
  Status End(const std::string& id, bool is_late);
  void Sleep(std::chrono::milliseconds time);

  FileStore& files_;
  BatchStore& batches_;
  const BatchQueueOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_woken_ = false;  // under mutex_
  std::atomic<bool> is_closed_ = false;
  std::atomic<uint64_t> changes_ = 0;  // counts Wake
  BatchJob* job_ = nullptr;            // that runs; under mutex_
  std::thread thread_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_BATCH_QUEUE_H_

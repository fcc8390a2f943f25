// Fills the masks of sequences on a thread of its own, while the model runs.
#ifndef KEEL_CORE_ENGINE_MASK_WORKER_H_
#define KEEL_CORE_ENGINE_MASK_WORKER_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/engine/running_request.h"

namespace keel {

class MaskWorker {
 public:
  ~MaskWorker();

  // Begins to fill `mask` and `mask_status` of each; nobody may touch them or their grammars until Wait.
  void Start(std::vector<RunningSequence*> sequences, int64_t vocab_size);
  // Returns when all are filled. Nothing to do without a Start.
  void Wait();

 private:
  void Run();

  absl::Mutex mutex_;
  std::vector<RunningSequence*> sequences_ ABSL_GUARDED_BY(mutex_);
  int64_t vocab_size_ ABSL_GUARDED_BY(mutex_) = 0;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // from the first Start on
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_MASK_WORKER_H_

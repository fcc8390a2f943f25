#include "core/engine/mask_worker.h"

#include <utility>

#include "core/engine/token_mask.h"

namespace keel {

MaskWorker::~MaskWorker() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void MaskWorker::Start(std::vector<RunningSequence*> sequences, int64_t vocab_size) {
  if (sequences.empty()) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  absl::MutexLock lock(&mutex_);
  sequences_ = std::move(sequences);
  vocab_size_ = vocab_size;
  busy_ = true;
}

void MaskWorker::Wait() {
  absl::MutexLock lock(&mutex_);
  const auto is_idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !busy_; };
  mutex_.Await(absl::Condition(&is_idle));
}

void MaskWorker::Run() {
  const auto has_work = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return busy_ || stopping_; };
  while (true) {
    std::vector<RunningSequence*> sequences;
    int64_t vocab_size = 0;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (stopping_) return;
      sequences.swap(sequences_);
      vocab_size = vocab_size_;
    }
    for (RunningSequence* sequence : sequences)
      sequence->mask_status = FillMask(*sequence, vocab_size);
    absl::MutexLock lock(&mutex_);
    busy_ = false;
  }
}

}  // namespace keel

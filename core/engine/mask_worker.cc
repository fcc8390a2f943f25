#include "core/engine/mask_worker.h"

#include <utility>

namespace keel {

MaskWorker::~MaskWorker() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void MaskWorker::Start(std::vector<RunningSequence*> sequences) {
  if (sequences.empty()) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  absl::MutexLock lock(&mutex_);
  sequences_ = std::move(sequences);
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
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (stopping_) return;
      sequences.swap(sequences_);
    }
    for (RunningSequence* sequence : sequences) {
      sequence->mask.resize(sequence->grammar->mask_words());
      sequence->mask_status = sequence->grammar->FillMask(absl::MakeSpan(sequence->mask));
    }
    absl::MutexLock lock(&mutex_);
    busy_ = false;
  }
}

}  // namespace keel

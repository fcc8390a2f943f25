// How far a batch has come, on stderr.
#ifndef KEEL_APPS_BATCH_BATCH_PROGRESS_H_
#define KEEL_APPS_BATCH_BATCH_PROGRESS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "apps/batch/batch_job.h"
#include "apps/common/progress.h"

namespace keel::apps {

// "12/24 lines, 1 failed, 812.0 tokens/s, 3 m 05 s left"; `total` 0: not known.
std::string ProgressNote(const BatchCounts& counts, int64_t total, double seconds);

class BatchProgress {
 public:
  // How many lines the input has, blank ones too. May be called from any thread.
  void SetTotal(int64_t lines) { total_ = lines; }
  // The lines that run are the last. May be called from any thread.
  void SetEnding() { is_ending_ = true; }

  // Draws if it is time to.
  void Show(const BatchCounts& counts);
  // Takes it off the terminal.
  void Clear() { progress_.Clear(); }
  double seconds() const;

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<int64_t> total_ = 0;
  std::atomic<bool> is_ending_ = false;
  Progress progress_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_BATCH_PROGRESS_H_

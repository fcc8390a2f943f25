#include "apps/batch/batch_progress.h"

#include <algorithm>
#include <cstdio>

namespace keel::apps {

std::string ProgressNote(const BatchCounts& counts, int64_t total, double seconds) {
  std::string note = std::to_string(counts.lines);
  if (total > 0) note += "/" + std::to_string(total);
  note += " lines";
  const int64_t failed = counts.failed + counts.failed_before;
  if (failed > 0) note += ", " + std::to_string(failed) + " failed";
  char rate[48];
  std::snprintf(rate, sizeof(rate), ", %.1f tokens/s",
                static_cast<double>(counts.output_tokens) / std::max(seconds, 1e-3));
  note += rate;
  const int64_t run = counts.answered + counts.failed;  // by this run, whose speed it is
  if (total > counts.lines && run > 0) {
    const double left = static_cast<double>(total - counts.lines);
    note += ", " + FormatDuration(seconds * left / static_cast<double>(run)) + " left";
  }
  return note;
}

double BatchProgress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void BatchProgress::Show(const BatchCounts& counts) {
  if (!progress_.IsDue()) return;
  const int64_t total = std::max<int64_t>(0, total_ - counts.blank);
  progress_.Show(is_ending_ ? "ending" : "answering", counts.lines, total,
                 ProgressNote(counts, total, seconds()));
}

}  // namespace keel::apps

// How far something that takes long has come, on stderr: a line that is redrawn on a terminal, a
// plain line now and then elsewhere.
#ifndef KEEL_APPS_COMMON_PROGRESS_H_
#define KEEL_APPS_COMMON_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace keel::apps {

// "answering [#####     ]  50%  12/24 lines, 1 failed" in at most `width` columns. `total` 0: not known,
// no bar. Only the end of `note` is cut.
std::string FormatProgress(std::string_view label, int64_t done, int64_t total,
                           std::string_view note, size_t width);
// "8 s", "3 m 05 s", "2 h 04 m".
std::string FormatDuration(double seconds);

// May be used from any thread.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  Progress();
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Whether Show would draw now. For callers whose note costs something.
  bool IsDue();
  // Draws if it is time to: a terminal ten times a second, else a line every ten seconds.
  void Show(std::string_view label, int64_t done, int64_t total, std::string_view note = "");
  // Takes the line off the terminal, for other output.
  void Clear();

 private:
  const bool is_terminal_;
  std::mutex mutex_;
  Clock::time_point next_;
  bool is_drawn_ = false;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_PROGRESS_H_

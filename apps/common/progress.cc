#include "apps/common/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apps/common/log.h"

namespace keel::apps {
namespace {

constexpr auto kTerminalPause = std::chrono::milliseconds(100);
constexpr auto kLinePause = std::chrono::seconds(10);
constexpr size_t kMaxBarWidth = 24, kMinBarWidth = 6;

size_t TerminalWidth() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

// At most `width` bytes, cut where a character begins.
void Cut(size_t width, std::string* text) {
  if (text->size() <= width) return;
  while (width > 0 && (static_cast<unsigned char>((*text)[width]) & 0xC0) == 0x80) --width;
  text->resize(width);
}

}  // namespace

std::string FormatProgress(std::string_view label, int64_t done, int64_t total,
                           std::string_view note, size_t width) {
  std::string line(label);
  if (total > 0) {
    const double part =
        std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
    char percent[16];
    // Rounded down: 100% is the end.
    std::snprintf(percent, sizeof(percent), "%3d%%", static_cast<int>(part * 100));
    const size_t rest = line.size() + note.size() + std::string_view(" [] 100%  ").size();
    const size_t bar = std::min(kMaxBarWidth, width - std::min(width, rest));
    const size_t filled = static_cast<size_t>(part * static_cast<double>(bar));
    line += ' ';
    if (bar >= kMinBarWidth) {
      line += "[" + std::string(filled, '#') + std::string(bar - filled, ' ') + "] ";
    }
    line += percent;
  }
  if (!note.empty()) line.append("  ").append(note);
  Cut(width, &line);
  return line;
}

std::string FormatDuration(double seconds) {
  const int64_t whole = static_cast<int64_t>(std::clamp(seconds, 0.0, 1e12) + 0.5);
  char text[48];
  if (whole < 60) {
    std::snprintf(text, sizeof(text), "%lld s", static_cast<long long>(whole));
  } else if (whole < 3600) {
    std::snprintf(text, sizeof(text), "%lld m %02lld s", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof(text), "%lld h %02lld m", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole / 60 % 60));
  }
  return text;
}

// The first line of a log says nothing yet, so it waits; a terminal is drawn on at once.
Progress::Progress()
    : is_terminal_(isatty(STDERR_FILENO) != 0),
      next_(is_terminal_ ? Clock::time_point::min() : Clock::now() + kLinePause) {}

bool Progress::IsDue() {
  std::lock_guard lock(mutex_);
  return Clock::now() >= next_;
}

void Progress::Show(std::string_view label, int64_t done, int64_t total, std::string_view note) {
  std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (now < next_) return;
  if (!is_terminal_) {
    next_ = now + kLinePause;
    LogInfo(FormatProgress(label, done, total, note, std::string::npos / 2));
    return;
  }
  next_ = now + kTerminalPause;
  is_drawn_ = true;
  // One column is left free: some terminals wrap when the last one is written.
  const std::string line = FormatProgress(label, done, total, note, TerminalWidth() - 1);
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
}

void Progress::Clear() {
  std::lock_guard lock(mutex_);
  if (!is_drawn_) return;
  is_drawn_ = false;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

}  // namespace keel::apps

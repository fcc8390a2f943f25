#include "apps/common/log.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>
#include <vector>

namespace keel::apps {
namespace {

LogLevel lowest = LogLevel::kInfo;

std::mutex held_mutex;
bool is_holding = false;
std::vector<std::string> held;

// One call, so that lines of several threads do not mix.
void Write(const std::string& line) { std::fputs(line.c_str(), stderr); }

bool IsTerminal() { return isatty(STDERR_FILENO) != 0; }

struct Mark {
  const char* word;
  const char* colour;
};
constexpr Mark kMarks[] = {{"info", "\033[2m"}, {"warning", "\033[33m"}, {"error", "\033[31m"}};

}  // namespace

void HoldLog() {
  std::lock_guard lock(held_mutex);
  is_holding = IsTerminal();
}

void ReleaseLog() {
  std::lock_guard lock(held_mutex);
  is_holding = false;
  for (const std::string& line : held) Write(line);
  held.clear();
}

void SetLogLevel(LogLevel level) { lowest = level; }

void Log(LogLevel level, std::string_view text) {
  if (level < lowest) return;
  static const bool is_terminal = IsTerminal();
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  char time[32];
  std::strftime(time, sizeof(time), "%Y-%m-%d %H:%M:%S", &local);
  const Mark& mark = kMarks[static_cast<int>(level)];
  char fraction[8];
  std::snprintf(fraction, sizeof(fraction), ".%03d ", static_cast<int>(millis));
  std::string line = is_terminal ? "\r\033[K" : "";  // a progress bar is overwritten
  if (is_terminal) line += mark.colour;
  line.append(time).append(fraction).append(mark.word);
  if (is_terminal) line += "\033[0m";
  line.append(" ").append(text).append("\n");
  std::lock_guard lock(held_mutex);
  if (is_holding && level == LogLevel::kInfo) {
    held.push_back(std::move(line));
  } else {
    Write(line);
  }
}

}  // namespace keel::apps

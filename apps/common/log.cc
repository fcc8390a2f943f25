#include "apps/common/log.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>

namespace keel::apps {
namespace {

LogLevel lowest = LogLevel::kInfo;

struct Mark {
  const char* word;
  const char* colour;
};
constexpr Mark kMarks[] = {{"info", "\033[2m"}, {"warning", "\033[33m"}, {"error", "\033[31m"}};

}  // namespace

void SetLogLevel(LogLevel level) { lowest = level; }

void Log(LogLevel level, std::string_view text) {
  if (level < lowest) return;
  static const bool is_terminal = isatty(STDERR_FILENO) != 0;
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  char time[32];
  std::strftime(time, sizeof(time), "%m-%d %H:%M:%S", &local);
  const Mark& mark = kMarks[static_cast<int>(level)];
  // One call, so that lines of several threads do not mix. A progress bar is overwritten.
  std::fprintf(stderr, "%s%s%s.%03d %s%s %.*s\n", is_terminal ? "\r\033[K" : "",
               is_terminal ? mark.colour : "", time, static_cast<int>(millis), mark.word,
               is_terminal ? "\033[0m" : "", static_cast<int>(text.size()), text.data());
}

}  // namespace keel::apps

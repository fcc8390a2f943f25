#include "apps/common/log.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

LogLevel lowest = LogLevel::kInfo;
LogFormat line_format = LogFormat::kText;

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

// Now, in the machine's time zone or in UTC, with milliseconds and then `zone`.
std::string Time(bool is_utc, const char* format, const char* zone) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  if (is_utc) {
    gmtime_r(&seconds, &parts);
  } else {
    localtime_r(&seconds, &parts);
  }
  char time[32], fraction[16];
  std::strftime(time, sizeof(time), format, &parts);
  std::snprintf(fraction, sizeof(fraction), ".%03d", static_cast<int>(millis));
  return std::string(time) + fraction + zone;
}

std::string TextLine(LogLevel level, std::string_view text) {
  static const bool is_terminal = IsTerminal();
  const Mark& mark = kMarks[static_cast<int>(level)];
  std::string line = is_terminal ? "\r\033[K" : "";  // a progress bar is overwritten
  if (is_terminal) line += mark.colour;
  line.append(Time(/*is_utc=*/false, "%Y-%m-%d %H:%M:%S", " ")).append(mark.word);
  if (is_terminal) line += "\033[0m";
  return line.append(" ").append(text).append("\n");
}

std::string JsonLine(LogLevel level, std::string_view text, const boost::json::object& fields) {
  boost::json::object line = {{"time", Time(/*is_utc=*/true, "%Y-%m-%dT%H:%M:%S", "Z")},
                              {"level", kMarks[static_cast<int>(level)].word},
                              {"message", boost::json::string_view(text.data(), text.size())}};
  for (const auto& [name, value] : fields) line[name] = value;
  return boost::json::serialize(line) + "\n";
}

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

void SetLogFormat(LogFormat format) { line_format = format; }

void Log(LogLevel level, std::string_view text, const boost::json::object& fields) {
  if (level < lowest) return;
  std::string line =
      line_format == LogFormat::kJson ? JsonLine(level, text, fields) : TextLine(level, text);
  std::lock_guard lock(held_mutex);
  if (is_holding && level == LogLevel::kInfo) {
    held.push_back(std::move(line));
  } else {
    Write(line);
  }
}

}  // namespace keel::apps

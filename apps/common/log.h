// Lines for people, on stderr.
#ifndef KEEL_APPS_COMMON_LOG_H_
#define KEEL_APPS_COMMON_LOG_H_

#include <string>
#include <string_view>

namespace keel::apps {

enum class LogLevel { kInfo, kWarning, kError };

// Writes one line, with the time; colours on a terminal. May be called from any thread.
void Log(LogLevel level, std::string_view text);
inline void LogInfo(std::string_view text) { Log(LogLevel::kInfo, text); }
inline void LogWarning(std::string_view text) { Log(LogLevel::kWarning, text); }
inline void LogError(std::string_view text) { Log(LogLevel::kError, text); }
// On a terminal, keeps lines of information until ReleaseLog, so that something else can come first.
void HoldLog();
void ReleaseLog();
// Lines below `level` are left out. Call before other threads log.
void SetLogLevel(LogLevel level);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_LOG_H_

// Lines for people, or for programs, on stderr.
#ifndef KEEL_APPS_COMMON_LOG_H_
#define KEEL_APPS_COMMON_LOG_H_

#include <string>
#include <string_view>

#include "boost/json/object.hpp"

namespace keel::apps {

enum class LogLevel { kInfo, kWarning, kError };

// Text for people; or an object a line, {"time", "level", "message"} and what else is known.
enum class LogFormat { kText, kJson };

// Writes one line, with the time; colours on a terminal. `fields` are what `text` says, for programs.
// May be called from any thread.
void Log(LogLevel level, std::string_view text, const boost::json::object& fields = {});
inline void LogInfo(std::string_view text) { Log(LogLevel::kInfo, text); }
inline void LogWarning(std::string_view text) { Log(LogLevel::kWarning, text); }
inline void LogError(std::string_view text) { Log(LogLevel::kError, text); }
// On a terminal, keeps lines of information until ReleaseLog, so that something else can come first.
void HoldLog();
void ReleaseLog();
// Lines below `level` are left out. Call before other threads log.
void SetLogLevel(LogLevel level);
// The same holds for this.
void SetLogFormat(LogFormat format);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_LOG_H_

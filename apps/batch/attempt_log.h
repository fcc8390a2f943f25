// Which lines of a batch a process was reading or running when it died: a file beside the output that
// only grows.
//
//   {"event":"begin"}                      a process has begun
//   {"event":"read","line":3}              it reads this line, whose custom_id nobody knows yet,
//   {"event":"has_read"}                   and does not any more
//   {"event":"run","custom_id":"river"}    it runs this line,
//   {"event":"done","custom_id":"river"}   and does not any more
//   {"event":"end"}                        it has ended, and did not die
#ifndef KEEL_APPS_BATCH_ATTEMPT_LOG_H_
#define KEEL_APPS_BATCH_ATTEMPT_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "sdk/keel/engine.h"

namespace keel::apps {

class AttemptLog {
 public:
  // Of the output at `path`.
  static std::string PathFor(const std::string& path) { return path + ".attempts"; }

  // Goes on with the log at `path` if there is one; without `resume` begins anew.
  static Result<std::unique_ptr<AttemptLog>> Open(const std::string& path, bool resume);
  ~AttemptLog();
  AttemptLog(const AttemptLog&) = delete;
  AttemptLog& operator=(const AttemptLog&) = delete;

  // Earlier processes that died while they ran the line, or read the one of that number.
  int crashes(const std::string& custom_id) const;
  int crashes_reading(int64_t line) const;

  // Before a line is read, and when it is.
  Status Read(int64_t line);
  Status HasRead();
  // Before the line is run; after it was written, or is not to be run any more.
  Status Run(const std::string& custom_id);
  Status Done(const std::string& custom_id);
  // The process ends in order. `is_complete`: all lines are written, and nobody needs the log again,
  // unless a line cannot be read: nothing else says which, to those who read the input once more.
  Status End(bool is_complete);

 private:
  struct Crashes {
    std::unordered_map<std::string, int> running;  // by custom_id
    std::unordered_map<int64_t, int> reading;      // by line

    bool empty() const { return running.empty() && reading.empty(); }
  };

  AttemptLog(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  static Crashes CountCrashes(const std::string& path);
  Status Append(std::string text);

  const int fd_;
  const std::string path_;
  Crashes crashes_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_ATTEMPT_LOG_H_

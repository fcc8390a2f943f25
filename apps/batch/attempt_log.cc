#include "apps/batch/attempt_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "apps/common/json_fields.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

std::string Event(std::string_view event, const std::string& custom_id) {
  const boost::json::object object = {{"event", boost::json::string(event.data(), event.size())},
                                      {"custom_id", custom_id}};
  return boost::json::serialize(object) + "\n";
}

}  // namespace

// How often each line was read or run by a process that died. A line that a kill has torn says
// nothing.
AttemptLog::Crashes AttemptLog::CountCrashes(const std::string& path) {
  Crashes crashes;
  std::unordered_set<std::string> running;
  std::optional<int64_t> reading;
  const auto died = [&] {
    for (const std::string& custom_id : running) ++crashes.running[custom_id];
    if (reading.has_value()) ++crashes.reading[*reading];
    running.clear();
    reading.reset();
  };
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const boost::json::object object = ParseObject(line);
    const std::string event = TextField(object, "event");
    const std::string custom_id = TextField(object, "custom_id");
    if (event == "begin") died();
    if (event == "read") reading = NumberField(object, "line");
    if (event == "has_read" || event == "end") reading.reset();
    if (event == "run") running.insert(custom_id);
    if (event == "done") running.erase(custom_id);
    if (event == "end") running.clear();
  }
  died();
  return crashes;
}

Result<std::unique_ptr<AttemptLog>> AttemptLog::Open(const std::string& path, bool resume) {
  Crashes crashes;
  if (resume) crashes = CountCrashes(path);
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const int fd = open(path.c_str(), crashes.empty() ? flags | O_TRUNC : flags, 0666);
  std::unique_ptr<AttemptLog> log(new AttemptLog(fd, path));
  log->crashes_ = std::move(crashes);
  // What is torn ends here.
  const bool may_be_torn = !log->crashes_.empty();
  Status status = log->Append((may_be_torn ? "\n" : "") + std::string("{\"event\":\"begin\"}\n"));
  if (!status.ok()) return status;
  return log;
}

AttemptLog::~AttemptLog() {
  if (fd_ >= 0) close(fd_);
}

int AttemptLog::crashes(const std::string& custom_id) const {
  const auto it = crashes_.running.find(custom_id);
  return it == crashes_.running.end() ? 0 : it->second;
}

int AttemptLog::crashes_reading(int64_t line) const {
  const auto it = crashes_.reading.find(line);
  return it == crashes_.reading.end() ? 0 : it->second;
}

Status AttemptLog::Read(int64_t line) {
  return Append("{\"event\":\"read\",\"line\":" + std::to_string(line) + "}\n");
}

Status AttemptLog::HasRead() { return Append("{\"event\":\"has_read\"}\n"); }

Status AttemptLog::Run(const std::string& custom_id) { return Append(Event("run", custom_id)); }

Status AttemptLog::Done(const std::string& custom_id) { return Append(Event("done", custom_id)); }

Status AttemptLog::End(bool is_complete) {
  if (!is_complete || !crashes_.reading.empty()) return Append("{\"event\":\"end\"}\n");
  unlink(path_.c_str());
  return Status();
}

Status AttemptLog::Append(std::string text) {
  // At once, so that it is there whatever happens next.
  if (write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return Status();
  return Status(Code::kUnavailable, path_ + " cannot be written: " + std::strerror(errno));
}

}  // namespace keel::apps

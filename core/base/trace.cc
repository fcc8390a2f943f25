#include "core/base/trace.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace keel {
namespace {

constexpr absl::Duration kWriteInterval = absl::Milliseconds(100);

int32_t ThreadId() {
  thread_local const auto id = static_cast<int32_t>(syscall(SYS_gettid));
  return id;
}

// The format's times are microseconds.
void AppendTime(std::string& text, const char* key, int64_t nanoseconds) {
  nanoseconds = std::max<int64_t>(nanoseconds, 0);
  absl::StrAppend(&text, ",\"", key, "\":", nanoseconds / 1000, ".",
                  absl::Dec(nanoseconds % 1000, absl::kZeroPad3));
}

void AppendNumber(std::string& text, double value) {
  constexpr double kExact = 1LL << 53;
  if (std::abs(value) <= kExact && value == std::floor(value)) {
    absl::StrAppend(&text, static_cast<int64_t>(value));
  } else if (std::isfinite(value)) {
    absl::StrAppend(&text, value);
  } else {
    text += "null";  // JSON has no such number
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trace>> Trace::Open(const std::string& path, size_t capacity) {
  // O_NONBLOCK: opening a pipe that nobody reads must not hang; writing to it may.
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
  if (fd < 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("--trace ", path, ": cannot open for writing"));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return std::unique_ptr<Trace>(new Trace(path, fd, capacity));
}

Trace::Trace(std::string path, int fd, size_t capacity)
    : path_(std::move(path)),
      fd_(fd),
      capacity_(capacity),
      wake_at_((capacity + 1) / 2),
      pid_(getpid()),
      start_(Now()) {
  buffer_.reserve(capacity_);
  writer_ = std::thread([this] { WriteLoop(); });
}

Trace::~Trace() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    wake_.Signal();
  }
  writer_.join();
}

int64_t Trace::Now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Trace::Emit(TraceEvent& event) {
  event.thread = ThreadId();
  if (!failed_.load(std::memory_order_relaxed)) {
    // Held by the writer only while it exchanges two vectors.
    absl::MutexLock lock(&mutex_);
    if (buffer_.size() < capacity_) {
      buffer_.push_back(event);
      if (buffer_.size() == wake_at_) wake_.Signal();
      return;
    }
  }
  dropped_.fetch_add(1, std::memory_order_relaxed);
}

void Trace::Emit(char phase, const char* name, uint64_t id, std::initializer_list<TraceArg> args) {
  TraceEvent event;
  event.Start(phase, name, Now());
  event.id = id;
  for (const TraceArg& arg : args) event.Add(arg);
  Emit(event);
}

void Trace::Span(const char* name, int64_t begin, int64_t end,
                 std::initializer_list<TraceArg> args) {
  TraceEvent event;
  event.Start('X', name, begin);
  event.duration = end - begin;
  for (const TraceArg& arg : args) event.Add(arg);
  Emit(event);
}

void Trace::WriteLoop() {
  // Signals are other threads' business. Two of them are what a failing write sends to the thread
  // itself (SIGPIPE, SIGXFSZ): blocked, they leave the error code.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);

  std::vector<TraceEvent> events;
  events.reserve(capacity_);
  std::string text;
  AppendHead(text);
  bool closing = false;
  while (!closing) {
    {
      absl::MutexLock lock(&mutex_);
      if (!closing_ && buffer_.size() < wake_at_) wake_.WaitWithTimeout(&mutex_, kWriteInterval);
      closing = closing_;
      events.swap(buffer_);
    }
    for (const TraceEvent& event : events) AppendEvent(event, text);
    if (closing) AppendTail(text);
    if (!failed_ && !Write(text)) failed_ = true;
    if (failed_) dropped_ += events.size();
    events.clear();
    text.clear();
  }
  close(fd_);
}

// The separator stands before an event: a file that a crash has left has none at its end.

void Trace::AppendHead(std::string& text) const {
  absl::StrAppend(&text, "[\n{\"ph\":\"M\",\"pid\":", pid_,
                  ",\"name\":\"process_name\",\"args\":{\"name\":\"keel\"}}");
  absl::StrAppend(&text, ",\n{\"ph\":\"M\",\"pid\":", pid_,
                  ",\"name\":\"process_labels\",\"args\":{\"labels\":\"started ",
                  absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone()), "\"}}");
}

void Trace::AppendTail(std::string& text) const {
  absl::StrAppend(&text, ",\n{\"ph\":\"i\",\"s\":\"g\",\"pid\":", pid_, ",\"tid\":", ThreadId());
  AppendTime(text, "ts", Now() - start_);
  absl::StrAppend(&text, ",\"name\":\"end of trace\",\"args\":{\"dropped\":", dropped(), "}}\n]\n");
}

void Trace::AppendEvent(const TraceEvent& event, std::string& text) const {
  absl::StrAppend(&text, ",\n{\"ph\":\"", absl::string_view(&event.phase, 1), "\",\"pid\":", pid_,
                  ",\"tid\":", event.thread);
  if (event.phase == 'M') {
    absl::StrAppend(&text, ",\"name\":\"thread_name\",\"args\":{\"name\":\"", event.name, "\"}}");
    return;
  }
  AppendTime(text, "ts", event.begin - start_);
  if (event.phase == 'X') AppendTime(text, "dur", event.duration);
  if (event.phase == 'i') text += ",\"s\":\"t\"";
  if (event.phase == 'b' || event.phase == 'n' || event.phase == 'e')
    absl::StrAppend(&text, ",\"cat\":\"life\",\"id\":\"", event.id, "\"");
  absl::StrAppend(&text, ",\"name\":\"", event.name, "\"");
  if (event.num_args > 0) {
    text += ",\"args\":{";
    for (int i = 0; i < event.num_args; ++i) {
      absl::StrAppend(&text, i == 0 ? "\"" : ",\"", event.args[i].name, "\":");
      AppendNumber(text, event.args[i].value);
    }
    text += '}';
  }
  text += '}';
}

bool Trace::Write(const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd_, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      std::fprintf(stderr, "--trace %s: cannot write: %s; the trace ends here\n", path_.c_str(),
                   std::strerror(errno));
      // Half an event would cost the viewers the whole file. Not every file can be cut.
      [[maybe_unused]] const int cut = ftruncate(fd_, written_);
      return false;
    }
    done += static_cast<size_t>(n);
  }
  written_ += static_cast<int64_t>(text.size());
  return true;
}

}  // namespace keel

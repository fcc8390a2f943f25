// A trace of what the program does and when, in Chrome's trace format: ui.perfetto.dev and
// chrome://tracing open it.
//
// Tracing is off where the Trace* is null; every call below then costs one branch. Threads that
// emit never wait for the disk: an event is copied into a bounded buffer in memory, and the trace's
// own thread formats and writes it. A full buffer drops events and counts them.
//
//   TraceNameThread(trace, "engine");
//   {
//     TraceSpan span(trace, "forward");
//     span.Arg("tokens", 17);
//   }
//   TraceCounter(trace, "sequences", {{"running", 3}, {"waiting", 1}});
//   TraceBegin(trace, "request", id);  // a bar of its own, over steps and threads
//   TraceMark(trace, "first token", id);
//   TraceEnd(trace, "request", id, {{"generated", 64}});
//
// Names, of events and of arguments, are string literals without quotes, backslashes and control
// characters: only the pointer is kept, and they are written as they are.
#ifndef KEEL_CORE_BASE_TRACE_H_
#define KEEL_CORE_BASE_TRACE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace keel {

struct TraceArg {
  TraceArg() = default;
  template <typename Number>
  TraceArg(const char* name, Number value) : name(name), value(static_cast<double>(value)) {}

  const char* name;
  double value;
};

// One event as it waits to be written: no pointer to anything that may go away, no allocation.
struct TraceEvent {
  static constexpr int kMaxArgs = 4;  // further ones are left out

  void Start(char ph, const char* what, int64_t when) {
    phase = ph;
    name = what;
    begin = when;
    num_args = 0;
  }
  void Add(const TraceArg& arg) {
    if (num_args < kMaxArgs) args[num_args++] = arg;
  }

  const char* name;
  int64_t begin;     // nanoseconds of the steady clock
  int64_t duration;  // of a span
  uint64_t id;       // of what a bar stands for
  int32_t thread;
  char phase;  // "ph" of the format
  uint8_t num_args;
  TraceArg args[kMaxArgs];
};

// Thread-safe. The file is written every tenth of a second, so after a crash it lacks no more than
// that; the viewers take it without its end. A write that fails (a full disk) is said once on
// stderr and turns the trace off.
class Trace {
 public:
  static constexpr size_t kCapacity = 1 << 15;  // events; two buffers of 4 MiB

  // Overwrites the file at `path`. Errors name it and --trace.
  static absl::StatusOr<std::unique_ptr<Trace>> Open(const std::string& path,
                                                     size_t capacity = kCapacity);

  // Writes what is buffered and the file's end, which says how many events were dropped. No other
  // thread may be in a call, and no span open.
  ~Trace();

  static int64_t Now();  // nanoseconds of the steady clock

  // Puts down an event of the calling thread; sets `event.thread`.
  void Emit(TraceEvent& event);
  void Emit(char phase, const char* name, uint64_t id, std::initializer_list<TraceArg> args);
  // A span that was timed elsewhere.
  void Span(const char* name, int64_t begin, int64_t end,
            std::initializer_list<TraceArg> args = {});

  // Events that are not in the file: the buffer was full, or the file could not be written.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  Trace(std::string path, int fd, size_t capacity);

  void WriteLoop();
  void AppendHead(std::string& text) const;
  void AppendEvent(const TraceEvent& event, std::string& text) const;
  void AppendTail(std::string& text) const;
  // Returns false, and has said so, if the file did not take all of it.
  bool Write(const std::string& text);

  const std::string path_;
  const int fd_;
  const size_t capacity_;
  const size_t wake_at_;  // events that the writer does not wait any longer for
  const int32_t pid_;
  const int64_t start_;
  int64_t written_ = 0;  // bytes of whole events; the writer's
  std::atomic<uint64_t> dropped_ = 0;
  std::atomic<bool> failed_ = false;

  absl::Mutex mutex_;
  absl::CondVar wake_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<TraceEvent> buffer_ ABSL_GUARDED_BY(mutex_);  // never above capacity_

  std::thread writer_;
};

// What happens between this and the end of its scope, on this thread. Spans of a thread nest.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, const char* name) : trace_(trace) {
    if (trace_ != nullptr) event_.Start('X', name, Trace::Now());
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;
  ~TraceSpan() { End(); }

  template <typename Number>
  void Arg(const char* name, Number value) {
    if (trace_ != nullptr) event_.Add({name, value});
  }

  // Before the scope ends.
  void End() {
    if (trace_ == nullptr) return;
    event_.duration = Trace::Now() - event_.begin;
    trace_->Emit(event_);
    trace_ = nullptr;
  }

 private:
  Trace* trace_;
  TraceEvent event_;  // set only if there is a trace
};

// What the viewer calls the calling thread.
inline void TraceNameThread(Trace* trace, const char* name) {
  if (trace != nullptr) trace->Emit('M', name, 0, {});
}

// The values of named series from now on, drawn as one area chart.
inline void TraceCounter(Trace* trace, const char* name, std::initializer_list<TraceArg> values) {
  if (trace != nullptr) trace->Emit('C', name, 0, values);
}

// A moment on this thread.
inline void TraceInstant(Trace* trace, const char* name,
                         std::initializer_list<TraceArg> args = {}) {
  if (trace != nullptr) trace->Emit('i', name, 0, args);
}

// The life of whatever `id` stands for, as a bar. Bars of one id nest, by name; begin and end may be
// on different threads.
inline void TraceBegin(Trace* trace, const char* name, uint64_t id,
                       std::initializer_list<TraceArg> args = {}) {
  if (trace != nullptr) trace->Emit('b', name, id, args);
}
inline void TraceEnd(Trace* trace, const char* name, uint64_t id,
                     std::initializer_list<TraceArg> args = {}) {
  if (trace != nullptr) trace->Emit('e', name, id, args);
}
// A moment in it.
inline void TraceMark(Trace* trace, const char* name, uint64_t id,
                      std::initializer_list<TraceArg> args = {}) {
  if (trace != nullptr) trace->Emit('n', name, id, args);
}

}  // namespace keel

#endif  // KEEL_CORE_BASE_TRACE_H_

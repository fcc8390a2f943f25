// What the handles of sdk/abi/engine.h hold.
#ifndef KEEL_CORE_CAPI_HANDLES_H_
#define KEEL_CORE_CAPI_HANDLES_H_

#include <deque>
#include <exception>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "core/engine/engine.h"
#include "core/engine/request.h"
#include "core/model/options.h"
#include "core/pool/model_pool.h"
#include "sdk/abi/engine.h"

struct keel_options {
  keel::EngineOptions options;
};

namespace keel {

// A request while it is set, parameter by parameter: options may come before what they are of.
struct RequestDraft : Request {
  GrammarSpec grammar_options;
  BeamOptions beam_options;
  PoolingRequest pooling_options;
  Parsing parsing_options;
  bool parses = false;

  // Options of what was not asked for are left out.
  Request Finish() const;
};

}  // namespace keel

struct keel_request {
  keel::RequestDraft request;
};

namespace keel {

// An error as C programs read it: texts that stay where they are.
class ErrorText {
 public:
  void Set(const absl::Status& status);

  const char* message() const { return message_.c_str(); }
  // Of ErrorDetail's names; "" for one that is not known, or of which nothing was said.
  const char* detail(absl::string_view name) const;

 private:
  std::string message_;
  std::map<std::string, std::string, std::less<>> details_;
};

// Of this thread's last failed call.
ErrorText& LastError();

// An argument that may not be NULL, or only with length 0.
struct Argument {
  template <typename T>
  Argument(const char* name, T* pointer) : name(name), is_null(pointer == nullptr) {}
  template <typename T>
  Argument(const char* name, T* pointer, size_t n)
      : name(name), is_null(pointer == nullptr && n > 0) {}

  const char* name;
  bool is_null;
};

// True, and this thread's last error says so, if one of them is NULL. For functions without a
// status.
bool AnyNull(std::initializer_list<Argument> arguments) noexcept;

// Runs `body` (-> absl::Status) unless an argument is NULL; keeps its error and returns the code.
// Nothing is thrown past it.
template <typename Body>
keel_status Guard(std::initializer_list<Argument> arguments, Body body) noexcept {
  if (AnyNull(arguments)) return static_cast<keel_status>(absl::StatusCode::kInvalidArgument);
  absl::Status status;
  try {
    status = body();
  } catch (const std::exception& e) {
    status = absl::InternalError(e.what());
  } catch (...) {
    status = absl::InternalError("unknown exception");
  }
  if (!status.ok()) LastError().Set(status);
  return static_cast<keel_status>(status.code());
}

}  // namespace keel

struct keel_output {
  explicit keel_output(keel::Output from = {}, void* of = nullptr)
      : output(std::move(from)), user(of) {
    if (!output.status.ok()) error.Set(output.status);
  }

  keel::Output output;
  void* user;  // keel_engine_submit's
  keel::ErrorText error;
};

namespace keel {

// Outputs that wait for a reader, in the order they were made. The engine joins what a slow reader has not taken, and
// pauses a request, by what is read here.
class OutputQueue {
 public:
  // Tokens that a request may be ahead of its reader.
  static constexpr int64_t kMaxUnreadTokens = 4096;

  // The engine must outlive the requests.
  explicit OutputQueue(Engine& engine) : engine_(engine) {}
  // One with a descriptor that is readable while outputs wait.
  static absl::StatusOr<std::shared_ptr<OutputQueue>> WithEventFd(Engine& engine);
  ~OutputQueue();
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  int event_fd() const { return event_fd_; }  // -1: none

  // On the engine's thread.
  void Push(Output output, void* user);
  // What waits, at most `max` (0: all) and at least one; DEADLINE_EXCEEDED after `timeout_ms` (-1: never). They live until
  // the next call. By one thread at a time.
  absl::Status Take(int64_t timeout_ms, size_t max, absl::Span<const keel_output* const>* out);
  // Nobody will read any more: what still comes is thrown away, and does not wait for a reader.
  void Close();

 private:
  void Read(const Output& output);
  // After a change of outputs_ from or to empty.
  void Signal(bool waiting) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Engine& engine_;
  int event_fd_ = -1;
  absl::Mutex mutex_;
  std::deque<keel_output> outputs_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<keel_output> current_;  // the reader's, as is the next
  std::vector<const keel_output*> pointers_;
};

class PolledRequests {
 public:
  void Add(uint64_t id, std::shared_ptr<OutputQueue> queue);
  absl::Status Poll(uint64_t id, int64_t timeout_ms, const keel_output** out);
  void Close();

 private:
  struct Entry {
    std::shared_ptr<OutputQueue> queue;
    bool ended = false;  // its last output was given
  };
  absl::Mutex mutex_;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace keel

struct keel_models {
  std::shared_ptr<keel::ModelPool> pool;
};

struct keel_engine {
  // Requests go on without the handle where a pool keeps the engine.
  ~keel_engine() {
    polled.Close();
    if (drained != nullptr) drained->Close();
  }

  // Made by the first call.
  absl::StatusOr<std::shared_ptr<keel::OutputQueue>> Drained();
  // NULL before that.
  std::shared_ptr<keel::OutputQueue> DrainedIfAny() {
    absl::MutexLock lock(&mutex);
    return drained;
  }

  keel::PolledRequests polled;
  absl::Mutex mutex;
  std::shared_ptr<keel::OutputQueue> drained;  // set once, under mutex
  std::string info;
  keel::Engine* engine = nullptr;

  // What keeps it: itself, or a pool and a lease.
  std::unique_ptr<keel::Engine> owned;
  std::shared_ptr<keel::ModelPool> pool;
  keel::ModelPool::Lease lease;
};

#endif  // KEEL_CORE_CAPI_HANDLES_H_

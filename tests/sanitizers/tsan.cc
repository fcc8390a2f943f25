// What ThreadSanitizer is told about libraries that are not instrumented.
//
// It sees the locks of pthread, hence std::mutex, whoever takes them, but not the atomics that
// absl::Mutex is made of. So the functions of absl::Mutex that Keel calls are wrapped here: each
// calls Debian's own and says which memory it orders.

#include <dlfcn.h>

#include "absl/synchronization/mutex.h"

extern "C" {
const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }

// OpenMP's barriers inside libtorch are atomics too.
const char* __tsan_default_suppressions() {
  return "called_from_lib:libtorch_cpu.so\n"
         "called_from_lib:libgomp.so\n"
         "race:libgomp.so\n";
}

void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// The same function in Debian's library.
template <typename Result, typename... Arguments>
auto Next(const char* symbol) {
  return reinterpret_cast<Result (*)(Arguments...)>(dlsym(RTLD_NEXT, symbol));
}

// Around calls in which the library may evaluate conditions, its own or another thread's: with the mutex held, which only
// the library knows.
class Evaluating {
 public:
  Evaluating() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~Evaluating() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// Around a wait, which gives the mutex away and takes it again.
class Yielded {
 public:
  explicit Yielded(void* mutex) : mutex_(mutex) { __tsan_release(mutex_); }
  ~Yielded() { __tsan_acquire(mutex_); }

 private:
  void* const mutex_;
  const Evaluating evaluating_;
};

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

#define KEEL_ABSL "_ZN4absl7debian3"

void Mutex::Lock() {
  static const auto next = Next<void, Mutex*>(KEEL_ABSL "5Mutex4LockEv");
  next(this);
  __tsan_acquire(this);
}

bool Mutex::TryLock() {
  static const auto next = Next<bool, Mutex*>(KEEL_ABSL "5Mutex7TryLockEv");
  const bool locked = next(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Unlock() {
  static const auto next = Next<void, Mutex*>(KEEL_ABSL "5Mutex6UnlockEv");
  __tsan_release(this);
  const Evaluating evaluating;
  next(this);
}

void Mutex::ReaderLock() {
  static const auto next = Next<void, Mutex*>(KEEL_ABSL "5Mutex10ReaderLockEv");
  next(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static const auto next = Next<void, Mutex*>(KEEL_ABSL "5Mutex12ReaderUnlockEv");
  __tsan_release(this);
  const Evaluating evaluating;
  next(this);
}

void Mutex::LockWhen(const Condition& condition) {
  static const auto next =
      Next<void, Mutex*, const Condition&>(KEEL_ABSL "5Mutex8LockWhenERKNS0_9ConditionE");
  {
    const Evaluating evaluating;
    next(this, condition);
  }
  __tsan_acquire(this);
}

void Mutex::Await(const Condition& condition) {
  static const auto next =
      Next<void, Mutex*, const Condition&>(KEEL_ABSL "5Mutex5AwaitERKNS0_9ConditionE");
  Yielded yielded(this);
  next(this, condition);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static const auto next = Next<bool, Mutex*, const Condition&, Duration>(
      KEEL_ABSL "5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  Yielded yielded(this);
  return next(this, condition, timeout);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static const auto next = Next<bool, Mutex*, const Condition&, Time>(
      KEEL_ABSL "5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  Yielded yielded(this);
  return next(this, condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  static const auto next = Next<void, CondVar*, Mutex*>(KEEL_ABSL "7CondVar4WaitEPNS0_5MutexE");
  Yielded yielded(mutex);
  next(this, mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static const auto next = Next<bool, CondVar*, Mutex*, Duration>(
      KEEL_ABSL "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  Yielded yielded(mutex);
  return next(this, mutex, timeout);
}

ABSL_NAMESPACE_END
}  // namespace absl

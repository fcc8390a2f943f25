#include "core/kernels/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "core/base/allowed_cpus.h"
#include "core/kernels/float_mode.h"

namespace keel {
namespace {

thread_local bool is_in_piece = false;

// Sleeps while `word` is `value`, until it is woken; now and then for no reason.
void FutexWait(const void* word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void FutexWakeAll(const void* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}
// The half that a futex looks at.
template <typename T>
uint32_t LowHalf(T value) {
  return static_cast<uint32_t>(value);
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a futex is the first half of a ticket");

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits awake for what comes soon, until `done`. False: it did not come in time, or the processor went
// to somebody else meanwhile, who will want it again.
template <typename Done>
bool Spin(Done done) {
  constexpr int kPausesALook = 16;
  constexpr std::chrono::microseconds kInterrupted{20};
  const auto start = std::chrono::steady_clock::now();
  for (auto last = start;;) {
    for (int i = 0; i < kPausesALook; ++i) {
      if (done()) return true;
      Pause();
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - start > ThreadPool::kSpin || now - last > kInterrupted) return done();
    last = now;
  }
}

// The process's processors that a pool's threads go to, the first left to the caller.
void Pin(int thread) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  int place = thread % std::max(1, CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || place-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

// Signals are for the program's own threads: those started meanwhile take none.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

ThreadPool::ThreadPool(const Options& options)
    : spins_(options.threads <= AllowedCpus()),
      slots_(static_cast<size_t>(std::clamp(options.threads, 1, kMaxThreads))) {
  const BlockedSignals guard;
  for (int thread = 1; thread < threads(); ++thread) {
    workers_.emplace_back([this, thread, pin = options.pin] {
      pthread_setname_np(pthread_self(), "keel-pool");
      if (pin) Pin(thread);
      Work(thread);
    });
  }
}

ThreadPool::~ThreadPool() {
  Publish(NextTicket(kStop));
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::IsInPiece() { return is_in_piece; }

bool ThreadPool::TryRun(int pieces, absl::FunctionRef<void(int)> f) noexcept {
  if (is_in_piece || is_taken_.load(std::memory_order_relaxed)) return false;
  if (is_taken_.exchange(true, std::memory_order_acquire)) return false;
  f_.emplace(f);
  const Ticket ticket = NextTicket(pieces);
  Publish(ticket);
  is_in_piece = true;
  f(0);
  TakeOthers(0, ticket);
  is_in_piece = false;
  for (int piece = 1; piece < pieces; ++piece) WaitUntilDone(piece, ticket);
  is_taken_.store(false, std::memory_order_release);
  return true;
}

ThreadPool::Ticket ThreadPool::NextTicket(int pieces) const {
  const Ticket number = (ticket_.load(std::memory_order_relaxed) >> kPiecesBits) + 1;
  return number << kPiecesBits | static_cast<Ticket>(pieces);
}

// What the caller wrote before comes with the ticket. A thread either sees it before it sleeps or has
// said that it sleeps before the caller looks there: hence the total order. They are woken once: it may
// take them long to get a processor. Who sleeps after that has seen the ticket that woke the others, or
// a later one, so none is forgotten.
void ThreadPool::Publish(Ticket ticket) {
  ticket_.store(ticket, std::memory_order_seq_cst);
  if (slept_after_.load(std::memory_order_seq_cst) < woken_for_) return;
  woken_for_ = ticket;
  FutexWakeAll(&ticket_);
}

// A call ends when its pieces are done, so that a piece can be taken for a ticket means that its call
// runs: f_ is that call's.
bool ThreadPool::Take(int piece, Ticket ticket) {
  std::atomic<Ticket>& begun = slots_[static_cast<size_t>(piece)].begun;
  Ticket last = begun.load(std::memory_order_relaxed);
  return last < ticket && begun.compare_exchange_strong(last, ticket, std::memory_order_relaxed);
}

void ThreadPool::RunPiece(int piece, Ticket ticket) {
  (*f_)(piece);
  slots_[static_cast<size_t>(piece)].done.store(ticket, std::memory_order_seq_cst);
  uint32_t waits = caller_.load(std::memory_order_seq_cst);
  if (waits % 2 == 1 && caller_.compare_exchange_strong(waits, waits + 1)) FutexWakeAll(&caller_);
}

// Those that nobody has begun, first the next one.
void ThreadPool::TakeOthers(int thread, Ticket ticket) {
  const int pieces = PiecesOf(ticket);
  for (int piece = thread + 1; piece < pieces; ++piece)
    if (Take(piece, ticket)) RunPiece(piece, ticket);
  for (int piece = 1; piece < thread; ++piece)
    if (Take(piece, ticket)) RunPiece(piece, ticket);
}

void ThreadPool::WaitUntilDone(int piece, Ticket ticket) {
  const std::atomic<Ticket>& done = slots_[static_cast<size_t>(piece)].done;
  const auto is_done = [&] { return done.load(std::memory_order_acquire) == ticket; };
  if (is_done() || (spins_ && Spin(is_done))) return;
  for (;;) {
    // Whoever finishes a piece from here on sees the odd number and makes it even.
    const uint32_t waits = caller_.load(std::memory_order_relaxed) | 1;
    caller_.store(waits, std::memory_order_seq_cst);
    if (done.load(std::memory_order_seq_cst) == ticket) break;
    FutexWait(&caller_, waits);
    if (is_done()) break;
  }
  uint32_t waits = caller_.load(std::memory_order_relaxed);
  if (waits % 2 == 1) caller_.compare_exchange_strong(waits, waits + 1);
}

ThreadPool::Ticket ThreadPool::WaitForTicket(Ticket seen) {
  Ticket ticket = seen;
  const auto has_come = [&] {
    ticket = ticket_.load(std::memory_order_acquire);
    return ticket != seen;
  };
  if (has_come() || (spins_ && Spin(has_come))) return ticket;
  Ticket last = slept_after_.load(std::memory_order_seq_cst);
  while (last < seen && !slept_after_.compare_exchange_weak(last, seen)) continue;
  while ((ticket = ticket_.load(std::memory_order_seq_cst)) == seen)
    FutexWait(&ticket_, LowHalf(seen));
  return ticket;
}

void ThreadPool::Work(int thread) {
  is_in_piece = true;
  FlushDenormals flush;
  for (Ticket ticket = 0;;) {
    ticket = WaitForTicket(ticket);
    if (PiecesOf(ticket) == kStop) return;
    // One whose number is beyond the pieces would only take others' from under them.
    if (thread >= PiecesOf(ticket)) continue;
    if (Take(thread, ticket)) RunPiece(thread, ticket);
    TakeOthers(thread, ticket);
  }
}

}  // namespace keel

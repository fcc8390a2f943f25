// Threads that wait for short pieces of work: the pool behind core/kernels/parallel.h.
//
// A fork and join costs some hundred nanoseconds while the threads are awake. They stay awake for
// kSpin after a piece, which bridges what lies between the kernels of a step and between steps, and
// sleep then: a pool that nobody uses takes no time. Where there are more threads than processors for
// them, and where somebody else wants the processor meanwhile, they sleep at once.
//
// Work does not wait for a thread to wake up or to get a processor: the caller takes part, and a piece
// that nobody has begun is taken by whoever is done with his own.
#ifndef KEEL_CORE_KERNELS_THREAD_POOL_H_
#define KEEL_CORE_KERNELS_THREAD_POOL_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace keel {

class ThreadPool {
 public:
  // How long a thread stays awake without work.
  static constexpr std::chrono::microseconds kSpin{200};
  static constexpr int kMaxThreads = 1023;

  struct Options {
    int threads = 1;   // the caller's among them: one less is started; clamped to [1, kMaxThreads]
    bool pin = false;  // each started thread to one of the process's processors, not the first
  };

  explicit ThreadPool(const Options& options);
  // Nobody may be in TryRun.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(slots_.size()); }

  // Calls f(i) once for each i in [0, pieces), 1 <= pieces <= threads(), and returns when all are done.
  // Piece 0 is the caller's; piece i > 0 is thread i's, in every call, if it comes in time. What f
  // throws ends the process. False, without a call: somebody else is in TryRun, or the caller is
  // inside a piece. Thread-safe.
  [[nodiscard]] bool TryRun(int pieces, absl::FunctionRef<void(int)> f) noexcept;

  // Whether the calling thread runs a piece of some pool.
  static bool IsInPiece();

 private:
  // What the last call was, in one word: its number, from 1, and how many pieces it had. Threads that
  // come late know by the number that they do.
  using Ticket = uint64_t;
  static constexpr int kPiecesBits = 10;
  static constexpr int kStop = 0;  // pieces of the last ticket

  // A piece of work but the caller's, alone on its cache lines: no two threads write to the same.
  struct alignas(128) Slot {
    std::atomic<Ticket> begun = 0;  // the last call whose piece somebody took
    std::atomic<Ticket> done = 0;   // ... and finished
  };

  static int PiecesOf(Ticket ticket) { return static_cast<int>(ticket & kMaxThreads); }
  Ticket NextTicket(int pieces) const;
  void Publish(Ticket ticket);
  bool Take(int piece, Ticket ticket);
  void RunPiece(int piece, Ticket ticket);
  void TakeOthers(int thread, Ticket ticket);
  void WaitUntilDone(int piece, Ticket ticket);
  Ticket WaitForTicket(Ticket seen);
  void Work(int thread);

  const bool spins_;
  std::vector<Slot> slots_;
  // Of the call that runs: written by its caller while no piece can be taken, read with the ticket.
  alignas(128) std::optional<absl::FunctionRef<void(int)>> f_;
  std::atomic<Ticket> ticket_ = 0;
  alignas(128) std::atomic<bool> is_taken_ = false;
  // The latest ticket that a thread had seen when it went to sleep.
  alignas(128) std::atomic<Ticket> slept_after_ = 0;
  Ticket woken_for_ = 0;  // the one that sleepers were last woken for; its caller's, as f_
  // Odd while the caller sleeps until a piece is done.
  alignas(128) std::atomic<uint32_t> caller_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_THREAD_POOL_H_

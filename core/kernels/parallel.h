// How work is spread over threads: Keel's kernels call ParallelFor, which uses the pool that was set for
// the calling thread, or the process's.
#ifndef KEEL_CORE_KERNELS_PARALLEL_H_
#define KEEL_CORE_KERNELS_PARALLEL_H_

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "core/kernels/thread_pool.h"

namespace keel {

// Calls f(begin, end) over [0, n) in contiguous pieces of at least `grain`, one a thread, and returns
// when all are done. The same n and grain give the same thread the same piece, as long as it comes in
// time. One piece on the calling thread, where that runs a piece already or the pool works for another
// caller. Denormals are 0 in `f`, which must not throw.
void ParallelFor(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f);

// Threads that ParallelFor called here would use at most.
int ParallelThreads();

// Threads where nothing says how many: OMP_NUM_THREADS, by which Ray, Slurm and others hand out shares
// of a machine, else the processors of this process. Never more than these.
int DefaultThreads();

// The pool of so many threads (0: DefaultThreads) that all share who ask for as many. Thread-safe.
std::shared_ptr<ThreadPool> SharedThreadPool(int threads, bool pin = false);

// Until its end, ParallelFor on this thread uses `pool`.
class ScopedThreadPool {
 public:
  explicit ScopedThreadPool(ThreadPool& pool);
  ~ScopedThreadPool();
  ScopedThreadPool(const ScopedThreadPool&) = delete;
  ScopedThreadPool& operator=(const ScopedThreadPool&) = delete;

 private:
  ThreadPool* const before_;
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PARALLEL_H_

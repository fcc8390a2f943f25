// The one pool of threads that ATen's operators and Keel's kernels share.
#ifndef KEEL_CORE_KERNELS_PARALLEL_H_
#define KEEL_CORE_KERNELS_PARALLEL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace keel {

// Calls f(begin, end) over [0, n) in contiguous pieces of at least `grain`, one a thread, and
// returns when all are done. Serial when called from within such a piece. `f` must not throw.
void ParallelFor(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f);

// Threads that ParallelFor called here would use at most.
int ParallelThreads();

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PARALLEL_H_

// Compiled with -fopenmp: at::parallel_for is a template over libtorch's OpenMP pool, and serial
// without it.
#include "core/kernels/parallel.h"

#include <ATen/Parallel.h>

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace keel {
namespace {

// ThreadSanitizer does not see OpenMP's barriers: what came before Release on one thread came before Acquire on another.
#if defined(__SANITIZE_THREAD__)
void Acquire(void* barrier) { __tsan_acquire(barrier); }
void Release(void* barrier) { __tsan_release(barrier); }
#else
void Acquire(void*) {}
void Release(void*) {}
#endif

}  // namespace

void ParallelFor(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f) {
  char barrier;
  Release(&barrier);
  at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) {
    Acquire(&barrier);
    f(begin, end);
    Release(&barrier);
  });
  Acquire(&barrier);
}

int ParallelThreads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

}  // namespace keel

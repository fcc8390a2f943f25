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

// Says to ThreadSanitizer, which does not see OpenMP's barriers, that pieces run after the call and before its return.
class Barriers {
 public:
#if defined(__SANITIZE_THREAD__)
  void Before() { __tsan_release(this); }
  void Begin() { __tsan_acquire(this); }
  void End() { __tsan_release(this); }
  void After() { __tsan_acquire(this); }
#else
  void Before() {}
  void Begin() {}
  void End() {}
  void After() {}
#endif
};

}  // namespace

void ParallelFor(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f) {
  Barriers barriers;
  barriers.Before();
  at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) {
    barriers.Begin();
    f(begin, end);
    barriers.End();
  });
  barriers.After();
}

int ParallelThreads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

}  // namespace keel

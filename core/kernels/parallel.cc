// Compiled with -fopenmp: at::parallel_for is a template over libtorch's OpenMP pool, and serial
// without it.
#include "core/kernels/parallel.h"

#include <ATen/Parallel.h>

namespace keel {

void ParallelFor(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f) {
  at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) { f(begin, end); });
}

int ParallelThreads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

}  // namespace keel

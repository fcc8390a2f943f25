// ATen beside Keel's threads.
//
// ATen has a pool of its own, OpenMP's, whose threads spin for milliseconds after their last piece: on
// the processors that Keel's threads want. So an executor's operators of ATen run on the thread that
// calls them, and what is long (a GEMM) is cut into pieces for ParallelForAten.
#ifndef KEEL_CORE_KERNELS_ATEN_THREADS_H_
#define KEEL_CORE_KERNELS_ATEN_THREADS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace keel {

// Until its end, ATen's operators that this thread calls run on it alone. Other threads, a Python
// program's own among them, keep their number.
class ScopedSerialAten {
 public:
  ScopedSerialAten();
  ~ScopedSerialAten();
  ScopedSerialAten(const ScopedSerialAten&) = delete;
  ScopedSerialAten& operator=(const ScopedSerialAten&) = delete;

 private:
  int openmp_, mkl_;  // threads before
};

// ParallelFor of an f that calls ATen: serial in each piece, in the caller's InferenceMode. Throws what
// a piece threw.
void ParallelForAten(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f);

// x.to(type), in pieces on all threads. Throws c10::Error.
at::Tensor ConvertOnAllThreads(const at::Tensor& x, at::ScalarType type);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ATEN_THREADS_H_

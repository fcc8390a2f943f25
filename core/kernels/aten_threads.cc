// Compiled with -fopenmp for <omp.h>: at::set_num_threads would set the number of every thread that
// comes after it, and of MKL everywhere.
#include "core/kernels/aten_threads.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <omp.h>

#include <exception>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/kernels/parallel.h"

// Of the MKL inside libtorch, which has it on x86 alone: the number of this thread; 0: that of all.
// Returns the one before.
extern "C" int MKL_Set_Num_Threads_Local(int threads) __attribute__((weak));

namespace keel {
namespace {

int SetMklThreads(int threads) {
  return MKL_Set_Num_Threads_Local == nullptr ? 0 : MKL_Set_Num_Threads_Local(threads);
}

}  // namespace

ScopedSerialAten::ScopedSerialAten() {
  openmp_ = at::get_num_threads();  // a thread's first question sets its number, which is OpenMP's
  if (openmp_ != 1) omp_set_num_threads(1);
  mkl_ = SetMklThreads(1);
}

ScopedSerialAten::~ScopedSerialAten() {
  if (openmp_ != 1) omp_set_num_threads(openmp_);
  SetMklThreads(mkl_);
}

void ParallelForAten(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f) {
  absl::Mutex mutex;
  std::exception_ptr error;
  const bool inference = c10::InferenceMode::is_enabled();
  ParallelFor(n, grain, [&](int64_t begin, int64_t end) {
    const ScopedSerialAten serial;
    const c10::InferenceMode guard(inference);
    try {
      f(begin, end);
    } catch (...) {
      absl::MutexLock lock(&mutex);
      error = std::current_exception();
    }
  });
  if (error != nullptr) std::rethrow_exception(error);
}

at::Tensor ConvertOnAllThreads(const at::Tensor& x, at::ScalarType type) {
  constexpr int64_t kElementsAPiece = 1 << 16;
  if (x.scalar_type() == type || !x.is_cpu() || !x.is_contiguous()) return x.to(type);
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(type));
  const at::Tensor from = x.view(-1), to = out.view(-1);
  ParallelForAten(x.numel(), kElementsAPiece, [&](int64_t begin, int64_t end) {
    to.narrow(0, begin, end - begin).copy_(from.narrow(0, begin, end - begin));
  });
  return out;
}

}  // namespace keel

#include "core/kernels/parallel.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "core/base/allowed_cpus.h"
#include "core/kernels/float_mode.h"

namespace keel {
namespace {

thread_local ThreadPool* pool_of_thread = nullptr;

ThreadPool& Pool() {
  if (pool_of_thread != nullptr) return *pool_of_thread;
  static auto* const shared = new std::shared_ptr<ThreadPool>(SharedThreadPool(0));  // never ends
  return **shared;
}

}  // namespace

void ParallelFor(int64_t n, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> f) {
  if (n <= 0) return;
  const FlushDenormals flush;
  if (n >= 2 * grain && !ThreadPool::IsInPiece()) {
    ThreadPool& pool = Pool();
    const int64_t pieces = std::min<int64_t>(pool.threads(), n / std::max<int64_t>(1, grain));
    const auto run = [&](int i) { f(n * i / pieces, n * (i + 1) / pieces); };
    if (pieces > 1 && pool.TryRun(static_cast<int>(pieces), run)) return;
  }
  f(0, n);
}

int ParallelThreads() { return ThreadPool::IsInPiece() ? 1 : Pool().threads(); }

int DefaultThreads() {
  static const int threads = [] {
    const int allowed = AllowedCpus();
    const char* text = std::getenv("OMP_NUM_THREADS");
    int wanted = 0;  // of "8,2", a number for each level of nesting, SimpleAtoi makes nothing
    if (text == nullptr || !absl::SimpleAtoi(text, &wanted) || wanted < 1) return allowed;
    return std::min(wanted, allowed);
  }();
  return threads;
}

std::shared_ptr<ThreadPool> SharedThreadPool(int threads, bool pin) {
  static absl::Mutex mutex(absl::kConstInit);
  static auto* const pools = new std::map<std::pair<int, bool>, std::weak_ptr<ThreadPool>>();
  if (threads <= 0) threads = DefaultThreads();
  absl::MutexLock lock(&mutex);
  std::weak_ptr<ThreadPool>& known = (*pools)[{threads, pin}];
  std::shared_ptr<ThreadPool> pool = known.lock();
  if (pool == nullptr)
    known = pool = std::make_shared<ThreadPool>(ThreadPool::Options{threads, pin});
  return pool;
}

ScopedThreadPool::ScopedThreadPool(ThreadPool& pool)
    : before_(std::exchange(pool_of_thread, &pool)) {}
ScopedThreadPool::~ScopedThreadPool() { pool_of_thread = before_; }

}  // namespace keel

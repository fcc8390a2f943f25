#include "core/sampling/sample_all.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/kernels/parallel.h"

namespace keel {
namespace {

void SampleOne(SampleJob& job) {
  const size_t rows = job.drafts.size() + 1, vocab_size = job.logits.size() / rows;
  job.tokens.clear();
  job.tokens.reserve(rows);
  for (size_t row = 0; row < rows; ++row) {
    const absl::Span<const uint32_t> allowed =
        row == 0 ? job.allowed : absl::Span<const uint32_t>();
    absl::StatusOr<SampledToken> token = job.sampler->Sample(
        job.logits.subspan(row * vocab_size, vocab_size), allowed, job.shared_logits);
    if (!token.ok()) {
      job.status = token.status();
      return;
    }
    job.tokens.push_back(*std::move(token));
    if (row < job.drafts.size() && job.tokens.back().token != job.drafts[row]) break;
  }
}

}  // namespace

void SampleAll(absl::Span<SampleJob> jobs) {
  const auto size = static_cast<int64_t>(jobs.size());
  // Jobs differ by far in what they cost, so each thread takes the next one until none is left.
  std::atomic<int64_t> next = 0;
  ParallelFor(std::min<int64_t>(size, ParallelThreads()), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < size; i = next++) SampleOne(jobs[static_cast<size_t>(i)]);
  });
}

}  // namespace keel

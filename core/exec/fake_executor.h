// An executor without a model, for tests of what drives one. It keeps tokens where a model keeps keys and values: what it
// answers depends on what the blocks hold, so a block that is lost, mixed up or not copied in time shows.
#ifndef KEEL_CORE_EXEC_FAKE_EXECUTOR_H_
#define KEEL_CORE_EXEC_FAKE_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/exec/executor.h"

namespace keel::testing {

class FakeExecutor : public Executor {
 public:
  // Sets `logits` [vocab], all 0 at first, for the token that comes after `tokens`.
  using Logits = std::function<void(absl::Span<const int32_t> tokens, absl::Span<float> logits)>;

  FakeExecutor(int32_t vocab_size, int32_t block_size, Logits logits);

  CacheLayout cache_layout() const override;
  absl::Status AllocateCache(absl::Span<const int32_t> num_blocks,
                             int32_t num_state_slots) override;
  absl::Status Do(const CacheWork& work) override;
  // INTERNAL where a sequence's blocks do not hold its tokens. Of pooled rows the vector {rows, the first
  // one's token, the last one's}.
  absl::StatusOr<at::Tensor> Step(const Batch& batch) override;

  // The next step fails with it.
  void FailOnce(absl::Status status) { failure_ = std::move(status); }
  int num_steps() const { return num_steps_; }
  int64_t num_tokens() const { return num_tokens_; }  // computed

 private:
  absl::StatusOr<std::vector<int32_t>> TokensOf(const BatchSequence& sequence,
                                                absl::Span<const int32_t> fresh);
  at::Tensor Vectors(const Batch& batch) const;

  const int32_t vocab_size_, block_size_;
  const Logits logits_;
  std::vector<std::vector<int32_t>> blocks_;  // [block][slot]; -1: undefined
  absl::Status failure_;
  int num_steps_ = 0;
  int64_t num_tokens_ = 0;
};

}  // namespace keel::testing
#endif  // KEEL_CORE_EXEC_FAKE_EXECUTOR_H_

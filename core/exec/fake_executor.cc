#include "core/exec/fake_executor.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel::testing {

FakeExecutor::FakeExecutor(int32_t vocab_size, int32_t block_size, Logits logits)
    : vocab_size_(vocab_size), block_size_(block_size), logits_(std::move(logits)) {}

CacheLayout FakeExecutor::cache_layout() const {
  CacheLayout layout;
  layout.groups.push_back({0, 0, block_size_ * static_cast<int64_t>(sizeof(int32_t))});
  return layout;
}

absl::Status FakeExecutor::AllocateCache(absl::Span<const int32_t> num_blocks, int32_t) {
  blocks_.assign(static_cast<size_t>(num_blocks[0]),
                 std::vector<int32_t>(static_cast<size_t>(block_size_), -1));
  return absl::OkStatus();
}

absl::Status FakeExecutor::Do(const CacheWork& work) {
  for (const BlockCopy& copy : work.blocks)
    blocks_[static_cast<size_t>(copy.to)] = blocks_[static_cast<size_t>(copy.from)];
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> FakeExecutor::Step(const Batch& batch) {
  ++num_steps_;
  KEEL_RETURN_IF_ERROR(std::exchange(failure_, absl::OkStatus()));
  const auto rows = static_cast<int64_t>(batch.logit_rows.size());
  at::Tensor logits = at::zeros({rows, vocab_size_}, at::kFloat);
  size_t row = 0;
  int32_t first = 0;  // the sequence's first row of the batch
  for (const BatchSequence& sequence : batch.sequences) {
    KEEL_ASSIGN_OR_RETURN(
        const std::vector<int32_t> tokens,
        TokensOf(sequence, absl::MakeConstSpan(batch.token_ids)
                               .subspan(static_cast<size_t>(first),
                                        static_cast<size_t>(sequence.num_tokens))));
    const int32_t end = first + sequence.num_tokens;
    for (; row < batch.logit_rows.size() && batch.logit_rows[row] < end; ++row) {
      const auto size =
          static_cast<size_t>(sequence.num_computed + batch.logit_rows[row] - first + 1);
      logits_(absl::MakeConstSpan(tokens).first(size),
              {logits.data_ptr<float>() + static_cast<int64_t>(row) * vocab_size_,
               static_cast<size_t>(vocab_size_)});
    }
    first = end;
  }
  num_tokens_ += first;
  return batch.pooled.empty() ? logits : Vectors(batch);
}

at::Tensor FakeExecutor::Vectors(const Batch& batch) const {
  at::Tensor out = at::zeros({static_cast<int64_t>(batch.pooled.size()), 3}, at::kFloat);
  float* vector = out.data_ptr<float>();
  for (const PooledRows& rows : batch.pooled) {
    const auto tokens =
        absl::MakeConstSpan(batch.token_ids)
            .subspan(static_cast<size_t>(rows.first), static_cast<size_t>(rows.num));
    *vector++ = static_cast<float>(rows.num);
    *vector++ = static_cast<float>(tokens.front());
    *vector++ = static_cast<float>(tokens.back());
  }
  return out;
}

// Writes the fresh tokens to the sequence's blocks and reads all that are there.
absl::StatusOr<std::vector<int32_t>> FakeExecutor::TokensOf(const BatchSequence& sequence,
                                                            absl::Span<const int32_t> fresh) {
  std::vector<int32_t> tokens;
  const int32_t size = sequence.num_computed + sequence.num_tokens;
  for (int32_t i = 0; i < size; ++i) {
    const int32_t block = sequence.blocks[0][static_cast<size_t>(i / block_size_)];
    int32_t& slot = blocks_[static_cast<size_t>(block)][static_cast<size_t>(i % block_size_)];
    if (i >= sequence.num_computed) slot = fresh[static_cast<size_t>(i - sequence.num_computed)];
    if (slot < 0) {
      return absl::InternalError(
          absl::StrCat("block ", block, " is read at token ", i, ", which nobody wrote"));
    }
    tokens.push_back(slot);
  }
  return tokens;
}

}  // namespace keel::testing

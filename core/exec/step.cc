#include "core/exec/step.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

absl::Status CheckSequence(const BatchSequence& s, size_t index, const BatchLimits& limits) {
  const auto bad = [&](std::string what) {
    return absl::InvalidArgumentError(absl::StrCat("batch: sequence ", index, ": ", what));
  };
  if (s.num_tokens < 1 || s.num_computed < 0) {
    return bad(absl::StrCat(s.num_tokens, " tokens after ", s.num_computed, " computed ones"));
  }
  const int64_t needed = int64_t{s.num_computed} + s.num_tokens;
  const int64_t held = static_cast<int64_t>(s.blocks.size()) * limits.block_size;
  if (held < needed) {
    return bad(
        absl::StrCat("its ", s.blocks.size(), " blocks hold ", held, " tokens, it has ", needed));
  }
  for (int32_t block : s.blocks) {
    if (block < 0 || block >= limits.num_blocks) {
      return bad(absl::StrCat("block ", block, " of a cache of ", limits.num_blocks));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBatch(const Batch& batch, const BatchLimits& limits) {
  if (batch.sequences.empty()) return absl::InvalidArgumentError("batch: has no sequences");
  int64_t tokens = 0;
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    KEEL_RETURN_IF_ERROR(CheckSequence(batch.sequences[i], i, limits));
    tokens += batch.sequences[i].num_tokens;
  }
  if (tokens != static_cast<int64_t>(batch.token_ids.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch: ", batch.token_ids.size(), " token ids, its sequences have ", tokens));
  }
  for (int32_t id : batch.token_ids) {
    if (id < 0 || id >= limits.vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("batch: token id ", id, ", the vocabulary has ", limits.vocab_size));
    }
  }
  int32_t previous = -1;
  for (int32_t row : batch.logit_rows) {
    if (row <= previous || row >= tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("batch: logit row ", row, " after ", previous, " of ", tokens, " tokens"));
    }
    previous = row;
  }
  return absl::OkStatus();
}

StepTensors MakeStep(const Batch& batch, int32_t block_size) {
  const int64_t tokens = static_cast<int64_t>(batch.token_ids.size());
  const int64_t sequences = static_cast<int64_t>(batch.sequences.size());
  size_t max_blocks = 1;
  for (const BatchSequence& s : batch.sequences) max_blocks = std::max(max_blocks, s.blocks.size());

  StepTensors step;
  AttentionMetadata& m = step.context.metadata;
  step.token_ids = at::empty({tokens}, at::kLong);
  step.positions = at::empty({tokens}, at::kLong);
  step.logit_rows = at::empty({static_cast<int64_t>(batch.logit_rows.size())}, at::kLong);
  m.slots = at::empty({tokens}, at::kLong);
  m.block_table = at::zeros({sequences, static_cast<int64_t>(max_blocks)}, at::kInt);
  m.seq_lens = at::empty({sequences}, at::kInt);
  m.cu_q = at::zeros({sequences + 1}, at::kInt);
  std::copy(batch.token_ids.begin(), batch.token_ids.end(),
            step.token_ids.mutable_data_ptr<int64_t>());
  std::copy(batch.logit_rows.begin(), batch.logit_rows.end(),
            step.logit_rows.mutable_data_ptr<int64_t>());

  int64_t* position = step.positions.mutable_data_ptr<int64_t>();
  int64_t* slot = m.slots.mutable_data_ptr<int64_t>();
  int32_t* table = m.block_table.mutable_data_ptr<int32_t>();
  int32_t* cu_q = m.cu_q.mutable_data_ptr<int32_t>();
  for (int64_t i = 0; i < sequences; ++i) {
    const BatchSequence& s = batch.sequences[i];
    std::copy(s.blocks.begin(), s.blocks.end(), table + i * static_cast<int64_t>(max_blocks));
    const int64_t end = int64_t{s.num_computed} + s.num_tokens;
    for (int64_t p = s.num_computed; p < end; ++p) {
      *position++ = p;
      *slot++ = int64_t{s.blocks[p / block_size]} * block_size + p % block_size;
    }
    m.seq_lens.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(end);
    cu_q[i + 1] = cu_q[i] + s.num_tokens;
    m.max_q = std::max<int64_t>(m.max_q, s.num_tokens);
    m.max_kv = std::max(m.max_kv, end);
    step.context.max_position = std::max(step.context.max_position, end - 1);
    step.context.state_slots.push_back(s.state_slot);
  }
  return step;
}

}  // namespace keel

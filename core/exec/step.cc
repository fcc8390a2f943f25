#include "core/exec/step.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/cache/block_pool.h"
#include "core/exec/features.h"

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
  if (s.blocks.size() != limits.num_blocks.size()) {
    return bad(absl::StrCat("has blocks in ", s.blocks.size(), " groups of layers, expected ",
                            limits.num_blocks.size()));
  }
  for (size_t g = 0; g < s.blocks.size(); ++g) {
    const int64_t held = static_cast<int64_t>(s.blocks[g].size()) * limits.block_size;
    if (held < needed) {
      return bad(absl::StrCat("its ", s.blocks[g].size(), " blocks hold ", held, " tokens, it has ",
                              needed));
    }
    for (int64_t i = 0; i < static_cast<int64_t>(s.blocks[g].size()); ++i) {
      const int32_t block = s.blocks[g][i];
      // One that no token sees may be missing, but none that this step writes.
      if (block == kNoBlock && (i + 1) * limits.block_size <= s.num_computed) continue;
      if (block < 0 || block >= limits.num_blocks[g])
        return bad(absl::StrCat("block ", block, " of a cache of ", limits.num_blocks[g]));
    }
  }
  if (limits.num_state_slots > 0 && (s.state_slot < 0 || s.state_slot >= limits.num_state_slots)) {
    return bad(absl::StrCat("state slot ", s.state_slot, " of ", limits.num_state_slots));
  }
  return absl::OkStatus();
}

// Where one group of layers keeps the sequences' keys.
void FillBlocks(const Batch& batch, size_t group, int32_t block_size, AttentionMetadata* m) {
  size_t max_blocks = 1;
  for (const BatchSequence& s : batch.sequences)
    max_blocks = std::max(max_blocks, s.blocks[group].size());
  m->slots = at::empty({static_cast<int64_t>(batch.token_ids.size())}, at::kLong);
  m->block_table = at::zeros(
      {static_cast<int64_t>(batch.sequences.size()), static_cast<int64_t>(max_blocks)}, at::kInt);
  int64_t* slot = m->slots.mutable_data_ptr<int64_t>();
  int32_t* row = m->block_table.mutable_data_ptr<int32_t>();
  for (const BatchSequence& s : batch.sequences) {
    const std::vector<int32_t>& blocks = s.blocks[group];
    for (size_t i = 0; i < blocks.size(); ++i) row[i] = std::max(blocks[i], 0);  // kNoBlock: any
    row += max_blocks;
    for (int64_t p = s.num_computed; p < int64_t{s.num_computed} + s.num_tokens; ++p)
      *slot++ = int64_t{blocks[p / block_size]} * block_size + p % block_size;
  }
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
  for (const PooledRows& rows : batch.pooled) {
    if (rows.first < 0 || rows.num < 1 || int64_t{rows.first} + rows.num > tokens) {
      return absl::InvalidArgumentError(absl::StrCat("batch: ", rows.num, " rows to pool from row ",
                                                     rows.first, " on, of ", tokens, " tokens"));
    }
  }
  for (const FeatureRows& f : batch.features) {
    const int64_t rows = f.features == nullptr ? 0 : f.features->num_rows();
    if (f.row < 0 || f.num < 1 || int64_t{f.row} + f.num > tokens || f.first < 0 ||
        f.first + f.num > rows) {
      return absl::InvalidArgumentError(
          absl::StrCat("batch: rows ", f.first, " to ", f.first + f.num, " of ", rows,
                       " features for row ", f.row, " on, of ", tokens, " tokens"));
    }
  }
  if (batch.positions.size() % batch.token_ids.size() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch: ", batch.positions.size(), " positions for ", tokens, " tokens"));
  }
  if (!batch.token_types.empty() && static_cast<int64_t>(batch.token_types.size()) != tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch: ", batch.token_types.size(), " token types for ", tokens, " tokens"));
  }
  if (!batch.groups.empty() && static_cast<int64_t>(batch.groups.size()) != tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch: ", batch.groups.size(), " groups for ", tokens, " tokens"));
  }
  return absl::OkStatus();
}

StepTensors MakeStep(const Batch& batch, const BatchLimits& limits) {
  const int64_t tokens = static_cast<int64_t>(batch.token_ids.size());
  const int64_t sequences = static_cast<int64_t>(batch.sequences.size());
  StepTensors step;
  AttentionMetadata common;  // to all groups of layers
  step.token_ids = at::empty({tokens}, at::kLong);
  step.positions = at::empty({tokens}, at::kLong);
  step.logit_rows = at::empty({static_cast<int64_t>(batch.logit_rows.size())}, at::kLong);
  common.seq_lens = at::empty({sequences}, at::kInt);
  common.cu_q = at::zeros({sequences + 1}, at::kInt);
  std::copy(batch.token_ids.begin(), batch.token_ids.end(),
            step.token_ids.mutable_data_ptr<int64_t>());
  std::copy(batch.logit_rows.begin(), batch.logit_rows.end(),
            step.logit_rows.mutable_data_ptr<int64_t>());
  if (!batch.token_types.empty()) {
    step.token_types = at::empty({tokens}, at::kLong);
    std::copy(batch.token_types.begin(), batch.token_types.end(),
              step.token_types.mutable_data_ptr<int64_t>());
  }
  step.groups = at::full({tokens}, -1, at::kInt);
  std::copy(batch.groups.begin(), batch.groups.end(), step.groups.mutable_data_ptr<int32_t>());
  step.pooled = batch.pooled;
  step.features = batch.features;
  if (!batch.positions.empty()) {
    step.axes =
        at::empty({static_cast<int64_t>(batch.positions.size()) / tokens, tokens}, at::kLong);
    std::copy(batch.positions.begin(), batch.positions.end(),
              step.axes.mutable_data_ptr<int64_t>());
  }

  int64_t* position = step.positions.mutable_data_ptr<int64_t>();
  int32_t* cu_q = common.cu_q.mutable_data_ptr<int32_t>();
  for (int64_t i = 0; i < sequences; ++i) {
    const BatchSequence& s = batch.sequences[i];
    const int64_t end = int64_t{s.num_computed} + s.num_tokens;
    for (int64_t p = s.num_computed; p < end; ++p) {
      *position++ = p;
      step.context.lengths.push_back(std::max<int64_t>(s.prompt_tokens, p + 1));
    }
    common.seq_lens.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(end);
    cu_q[i + 1] = cu_q[i] + s.num_tokens;
    common.max_q = std::max<int64_t>(common.max_q, s.num_tokens);
    common.max_kv = std::max(common.max_kv, end);
    step.context.state_slots.push_back(s.state_slot);
  }
  common.positions = step.positions;
  step.context.cu_q.assign(cu_q, cu_q + sequences + 1);
  for (size_t g = 0; g < limits.num_blocks.size(); ++g) {
    AttentionMetadata metadata = common;
    FillBlocks(batch, g, limits.block_size, &metadata);
    step.context.metadata.push_back(std::move(metadata));
  }
  return step;
}

}  // namespace keel

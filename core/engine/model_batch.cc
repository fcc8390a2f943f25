#include "core/engine/model_batch.h"

#include <algorithm>

namespace keel {

namespace {

Batch NewBatch(const Step& step) {
  Batch batch;
  batch.token_ids.reserve(static_cast<size_t>(step.num_tokens));
  batch.sequences.reserve(step.items.size());
  return batch;
}

// Adds the tokens of the step. Returns the row of position 0: that of a token is so much further on.
int32_t AddTokens(const Step::Item& item, Batch& batch) {
  const RunningSequence& sequence = *item.sequence->running;
  const int32_t begin = sequence.num_computed, end = begin + item.num_tokens;
  const auto first = static_cast<int32_t>(batch.token_ids.size()) - begin;
  batch.token_ids.insert(batch.token_ids.end(), sequence.tokens.begin() + begin,
                         sequence.tokens.begin() + end);
  batch.sequences.push_back({begin, item.num_tokens, sequence.table.state_slot,
                             sequence.table.blocks, sequence.prompt_tokens});
  return first;
}

// Numbers the groups that the item's tokens, the last of the batch, are in.
void AddGroups(const Step::Item& item, Batch& batch) {
  const Sequence& sequence = *item.sequence;
  const int32_t begin = sequence.num_computed, end = begin + item.num_tokens;
  if (sequence.groups.empty() || sequence.groups.back().end <= begin) return;
  batch.groups.resize(batch.token_ids.size(), -1);
  int32_t* const groups = batch.groups.data() + batch.groups.size() - item.num_tokens;
  for (size_t i = 0; i < sequence.groups.size(); ++i) {
    const TokenRange& group = sequence.groups[i];
    for (int32_t p = std::max(begin, group.begin); p < std::min(end, group.end); ++p)
      groups[p - begin] = static_cast<int32_t>(i);
  }
}

}  // namespace

Batch MakeBatch(const Step& step, LogitRows& rows) {
  Batch batch = NewBatch(step);
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = *item.sequence->running;
    const int32_t begin = sequence.num_computed, end = begin + item.num_tokens;
    const int32_t first = AddTokens(item, batch);
    AddGroups(item, batch);
    const auto add_row = [&](int32_t position) {
      batch.logit_rows.push_back(first + position);
      return static_cast<int64_t>(batch.logit_rows.size()) - 1;
    };
    if (sequence.request->request.sampling.prompt_logprobs.has_value()) {
      const int32_t last = std::min(end, sequence.prompt_tokens - 1);
      for (int32_t p = std::max(begin, sequence.num_prompt_logprobs); p < last; ++p)
        rows.of_prompt.push_back({&sequence, p, add_row(p)});
    }
    if (!item.reaches_end) continue;
    rows.sampled.push_back({&sequence, static_cast<int64_t>(batch.logit_rows.size())});
    for (int32_t p = end - 1 - sequence.num_drafts; p < end; ++p) add_row(p);
  }
  if (!batch.groups.empty()) batch.groups.resize(batch.token_ids.size(), -1);
  return batch;
}

Batch MakePoolingBatch(const Step& step, PoolingType type,
                       std::vector<RunningSequence*>& sequences) {
  Batch batch = NewBatch(step);
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = *item.sequence->running;
    const int32_t first = AddTokens(item, batch);
    if (!sequence.token_types.empty()) {
      batch.token_types.resize(batch.token_ids.size());
      std::copy(sequence.token_types.begin() + sequence.num_computed,
                sequence.token_types.begin() + sequence.num_computed + item.num_tokens,
                batch.token_types.end() - item.num_tokens);
    }
    if (!item.reaches_end) continue;
    sequences.push_back(&sequence);
    const int32_t tokens = sequence.size();
    switch (type) {
      case PoolingType::kCls:
        batch.pooled.push_back({first, 1});
        break;
      case PoolingType::kLast:
        batch.pooled.push_back({first + tokens - 1, 1});
        break;
      case PoolingType::kMean:
        batch.pooled.push_back({first, tokens});
        break;
    }
  }
  if (!batch.token_types.empty()) batch.token_types.resize(batch.token_ids.size());
  return batch;
}

}  // namespace keel

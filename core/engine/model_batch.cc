#include "core/engine/model_batch.h"

#include <algorithm>

namespace keel {

Batch MakeBatch(const Step& step, LogitRows& rows) {
  Batch batch;
  batch.token_ids.reserve(static_cast<size_t>(step.num_tokens));
  batch.sequences.reserve(step.items.size());
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = *item.sequence->running;
    const int32_t begin = sequence.num_computed, end = begin + item.num_tokens;
    // Token at `position` is row `first` + position of the batch.
    const auto first = static_cast<int32_t>(batch.token_ids.size()) - begin;
    batch.token_ids.insert(batch.token_ids.end(), sequence.tokens.begin() + begin,
                           sequence.tokens.begin() + end);
    batch.sequences.push_back({begin, item.num_tokens, sequence.table.state_slot,
                               sequence.table.blocks, sequence.prompt_tokens});
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
  return batch;
}

}  // namespace keel

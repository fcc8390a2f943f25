// From what the scheduler decided to what the executor takes, and whose logits come back.
#ifndef KEEL_CORE_ENGINE_MODEL_BATCH_H_
#define KEEL_CORE_ENGINE_MODEL_BATCH_H_

#include <cstdint>
#include <vector>

#include "core/engine/running_request.h"
#include "core/exec/batch.h"
#include "core/model/options.h"
#include "core/scheduler/scheduler.h"

namespace keel {

// What to do with rows of a step's logits.
struct LogitRows {
  // A row that gives the log-probability of the prompt's token at `position` + 1.
  struct OfPrompt {
    RunningSequence* sequence;
    int32_t position;
    int64_t row;
  };
  // Rows [first, first + 1 + drafts): a sequence's next token is drawn from them.
  struct Sampled {
    RunningSequence* sequence;
    int64_t first;
  };
  std::vector<OfPrompt> of_prompt;
  std::vector<Sampled> sampled;
};

Batch MakeBatch(const Step& step, LogitRows& rows);

// Of a model that answers with vectors, from hidden states that `type` says. `sequences`: whose vector
// each of the batch's `pooled` becomes.
Batch MakePoolingBatch(const Step& step, PoolingType type,
                       std::vector<RunningSequence*>& sequences);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_MODEL_BATCH_H_

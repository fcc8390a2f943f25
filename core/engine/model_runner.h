// Runs a step of the model and samples: what the scheduler decided becomes a packed batch, the
// batch logits, and the logits one result for each sequence. Nobody else touches logits.
#ifndef KEEL_CORE_ENGINE_MODEL_RUNNER_H_
#define KEEL_CORE_ENGINE_MODEL_RUNNER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/engine/mask_worker.h"
#include "core/engine/media_encoder.h"
#include "core/engine/model_batch.h"
#include "core/engine/sampled.h"
#include "core/engine/step_timer.h"
#include "core/exec/executor.h"
#include "core/model/options.h"
#include "core/sampling/sample_all.h"
#include "core/scheduler/scheduler.h"

namespace keel {

// The engine thread's; masks of tokens are filled on a thread of its own while the model runs.
class ModelRunner {
 public:
  // `executor` must outlive it. `vocab_size`: columns of its logits. `pooling`: it gives vectors.
  // `feature_cache_bytes`: of features of media that are kept for later. `max_encoder_tokens`: as MediaEncoder says.
  ModelRunner(Executor& executor, int64_t vocab_size, std::optional<PoolingType> pooling = {},
              int64_t feature_cache_bytes = 0, int64_t max_encoder_tokens = 0)
      : executor_(executor),
        vocab_size_(vocab_size),
        pooling_(pooling),
        media_(executor, feature_cache_bytes, max_encoder_tokens) {}

  // One result for each sequence whose last token is in the step, in the step's order; they stay
  // until the next call. Takes drafts that did not hold from the sequences' tokens, and adds the
  // log-probabilities of prompts to the sequences that want them. An error is the executor's: what
  // the step's sequences have in the cache is in doubt then.
  absl::StatusOr<absl::Span<Sampled>> Run(const Step& step, StepTimer& timer);

  MediaEncoder& media() { return media_; }

 private:
  absl::Span<float> Row(float* logits, int64_t row, int64_t num_rows = 1) const {
    return {logits + row * vocab_size_, static_cast<size_t>(num_rows * vocab_size_)};
  }
  absl::StatusOr<absl::Span<Sampled>> RunPooling(const Step& step, StepTimer& timer);
  void ReportPrompts(float* logits);
  void AddDraws(const LogitRows::Sampled& row, Sampled& sampled, float* logits);
  void TakeDraws(Sampled& sampled, SampleJob* jobs);
  void FindCandidates(float* logits);

  Executor& executor_;
  const int64_t vocab_size_;
  const std::optional<PoolingType> pooling_;
  MaskWorker masks_;
  MediaEncoder media_;
  // Scratch of a step.
  LogitRows rows_;
  std::vector<Sampled> sampled_;
  std::vector<SampleJob> jobs_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_MODEL_RUNNER_H_

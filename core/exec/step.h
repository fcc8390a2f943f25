// From a packed batch to the tensors of a step.
#ifndef KEEL_CORE_EXEC_STEP_H_
#define KEEL_CORE_EXEC_STEP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/exec/batch.h"
#include "core/ops/ops.h"

namespace keel {

struct BatchLimits {
  int64_t vocab_size = 0;
  std::vector<int32_t> num_blocks;  // of each group of layers
  int32_t block_size = 0;
  int32_t num_state_slots = 0;  // 0: the model has no recurrent layers
};

// kInvalidArgument says what does not hold together: tokens that no sequence has, an id outside of
// the vocabulary, a sequence without the blocks for its tokens, rows out of order.
absl::Status CheckBatch(const Batch& batch, const BatchLimits& limits);

struct StepTensors {
  at::Tensor token_ids;    // [N] i64
  at::Tensor positions;    // [N] i64
  at::Tensor logit_rows;   // [R] i64
  at::Tensor token_types;  // [N] i64; undefined: all 0
  at::Tensor groups;       // [N] i32
  at::Tensor
      axes;  // [axes, N] i64, what forward takes for positions; undefined: `positions` on each axis
  std::vector<PooledRows> pooled;
  std::vector<FeatureRows> features;
  StepContext context;
};

// For a batch that CheckBatch passed. Throws c10::Error.
StepTensors MakeStep(const Batch& batch, const BatchLimits& limits);

}  // namespace keel

#endif  // KEEL_CORE_EXEC_STEP_H_

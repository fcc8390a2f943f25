// Prompts of goldens on their way through an executor: each token of a prompt computed, then the likeliest token
// taken, as often as transformers' generate() did. Of a model that gives vectors, the vector of each token.
#ifndef KEEL_TESTS_PARITY_STREAMS_H_
#define KEEL_TESTS_PARITY_STREAMS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/exec/executor.h"
#include "tests/parity/model_under_test.h"

namespace keel {

inline constexpr double kLogitTolerance = 1e-4;  // of the largest logit
// What the executor must have been made with room for.
inline constexpr int32_t kBlocks = 96;
inline constexpr int32_t kStateSlots = 5;

struct Stream {
  const Golden* golden;
  std::vector<int32_t> ids;  // prompt, then what was generated
  std::vector<int32_t> blocks;
  int32_t state_slot = -1;  // -1: the model has no states
  int32_t done = 0;
  std::vector<at::Tensor> prompt_logits;  // or vectors

  int32_t prompt_size() const { return static_cast<int32_t>(golden->prompt.size()); }
  bool finished() const {
    return done >= prompt_size() && ids.size() >= golden->prompt.size() + golden->greedy.size();
  }
};

// Runs steps until every prompt has its tokens; a step takes at most `chunk` tokens of a prompt.
absl::StatusOr<std::vector<Stream>> RunStreams(Executor& executor,
                                               const std::vector<const Golden*>& goldens,
                                               int32_t chunk);

// How far a finished stream is from its golden.
struct Deviation {
  // The largest difference, in units of the largest logit, or number of a vector; infinite: other shapes.
  double logits = 0;
  bool same_tokens = false;
};
absl::StatusOr<Deviation> DeviationOf(const Stream& stream);

}  // namespace keel
#endif  // KEEL_TESTS_PARITY_STREAMS_H_

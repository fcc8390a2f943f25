// What the logits of one step gave one sequence: the result of ModelRunner, which Decoding takes.
#ifndef KEEL_CORE_ENGINE_SAMPLED_H_
#define KEEL_CORE_ENGINE_SAMPLED_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/engine/beam_search.h"
#include "core/sampling/sampler.h"

namespace keel {

struct RunningSequence;

struct Sampled {
  // A sequence that branches off here: what it drew from the same logits, and how it goes on.
  struct Fork {
    SequenceSampler sampler;
    SampledToken token;
  };

  RunningSequence* sequence = nullptr;
  int32_t num_drafts = 0;             // verified
  int32_t num_accepted = 0;           // of them; the sequence keeps those and loses the rest
  std::vector<SampledToken> tokens;   // the accepted drafts, then one more if `status` is OK
  std::vector<Fork> forks;            // of sequence->fork_seeds, in their order
  BeamSearch::Candidates candidates;  // instead of tokens, of a beam
  std::vector<float> vector;          // instead of tokens, of a model that answers with vectors
  // Why nothing could be chosen: INVALID_ARGUMENT (its constraints leave no token), DATA_LOSS (the
  // logits are no numbers), or what its grammar said.
  absl::Status status;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_SAMPLED_H_

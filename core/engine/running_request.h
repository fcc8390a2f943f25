// A request while it runs: its sequences with all that is needed to go on with them. The engine thread's.
#ifndef KEEL_CORE_ENGINE_RUNNING_REQUEST_H_
#define KEEL_CORE_ENGINE_RUNNING_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/engine/beam_search.h"
#include "core/engine/output_worker.h"
#include "core/engine/request.h"
#include "core/engine/stop_text.h"
#include "core/grammar/grammar_matcher.h"
#include "core/sampling/sampler.h"
#include "core/scheduler/sequence.h"

namespace keel {

struct RunningRequest;

// One token stream of a request.
struct RunningSequence : Sequence {
  RunningSequence(RunningRequest* request, SequenceSampler sampler,
                  std::shared_ptr<OutputStream> outputs)
      : request(request), sampler(std::move(sampler)), outputs(std::move(outputs)) {}

  RunningRequest* request;
  uint32_t index = 0;  // among the request's
  SequenceSampler sampler;
  std::shared_ptr<OutputStream> outputs;      // the output worker's; beams share one until they end
  std::optional<StopText> stop;               // set: there are stop strings
  std::unique_ptr<GrammarMatcher> grammar;    // null: any text
  std::vector<uint32_t> mask;                 // of what the grammar allows next
  absl::Status mask_status;                   // of filling it
  std::vector<SampledToken> prompt_logprobs;  // that were not given yet
  double cumulative_logprob = 0;              // where somebody asked for log-probabilities
  int64_t num_generated = 0;                  // given out, the end token included
  int32_t num_prompt_logprobs = 0;  // reported; a preempted prompt that is computed anew adds none
  bool finished = false;
  absl::Time scheduled, first_token, last_token;

  BeamSearch::Candidates
      candidates;  // with beam search: how it may go on, until its siblings know too
};

struct RunningRequest {
  uint64_t id = 0;
  Request request;
  std::shared_ptr<OutputChannel> outputs;
  std::shared_ptr<const std::vector<int32_t>> prompt;
  int64_t max_tokens = 0;              // of one sequence
  uint64_t seed = 0;                   // of the first sequence; the next has the next
  std::vector<int32_t> end_token_ids;  // eos (unless ignored) and stop_token_ids
  int64_t num_sequences = 1;           // that the prompt's sequence becomes: n, or best_of
  std::vector<std::unique_ptr<RunningSequence>> sequences;
  bool forked = false;        // there are as many as there will be
  bool paused = false;        // its sequences are not with the scheduler
  uint32_t num_finished = 0;  // of num_sequences
  std::unique_ptr<BeamSearch> beams;
  int64_t max_generated = 0;
  absl::Time arrival;
  absl::Time deadline = absl::InfiniteFuture();
};

inline RunningSequence& Running(Sequence* sequence) {
  return *static_cast<RunningSequence*>(sequence);
}

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_RUNNING_REQUEST_H_

// A request while it runs: its sequences with all that is needed to go on with them. The engine
// thread's, once it is submitted.
#ifndef KEEL_CORE_ENGINE_RUNNING_REQUEST_H_
#define KEEL_CORE_ENGINE_RUNNING_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/engine/decoding.h"
#include "core/engine/output_worker.h"
#include "core/engine/reasoning_tracker.h"
#include "core/engine/request.h"
#include "core/engine/request_media.h"
#include "core/engine/stop_text.h"
#include "core/grammar/grammar_matcher.h"
#include "core/sampling/sampler.h"
#include "core/scheduler/sequence.h"

namespace keel {

struct MediaJob;
struct RunningRequest;

// One token stream of a request.
struct RunningSequence : Sequence {
  RunningSequence(RunningRequest* request, SequenceSampler sampler,
                  std::shared_ptr<OutputStream> outputs)
      : request(request), sampler(std::move(sampler)), outputs(std::move(outputs)) {
    running = this;
  }
  // One that goes on from where `parent` is, with a sampler of its own. It has no grammar yet, and
  // its blocks come by Scheduler::Fork.
  RunningSequence(const RunningSequence& parent, SequenceSampler sampler)
      : Sequence(ForkOf(parent)),
        request(parent.request),
        sampler(std::move(sampler)),
        outputs(parent.outputs),
        num_candidates(parent.num_candidates),
        stop(parent.stop),
        reasoning(parent.reasoning),
        media_status(parent.media_status),
        num_prompt_logprobs(parent.num_prompt_logprobs),
        prompt_logprobs(parent.prompt_logprobs),
        scheduled(parent.scheduled) {
    running = this;
  }
  RunningSequence(const RunningSequence&) = delete;
  RunningSequence& operator=(const RunningSequence&) = delete;

  RunningRequest* const request;
  uint32_t index = 0;  // among the request's
  SequenceSampler sampler;
  std::shared_ptr<OutputStream> outputs;  // the output worker's; beams share one until they end

  // What to sample from its logits: a token, and one with each of these seeds for the sequences that
  // branch off once the prompt is computed; or, of a beam, that many candidates.
  std::vector<uint64_t> fork_seeds;
  int64_t num_candidates = 0;

  std::vector<int32_t> token_types;  // of its prompt: 0, of a second text 1; empty: all 0

  std::optional<StopText> stop;               // set: there are stop strings
  std::unique_ptr<GrammarMatcher> grammar;    // null: any text
  std::optional<ReasoningTracker> reasoning;  // set: a grammar waits for it, or it is bounded
  std::vector<uint32_t> mask;                 // ModelRunner's: what may come next
  absl::Status mask_status;                   // of filling it
  absl::Status media_status;                  // of encoding its media
  std::vector<std::shared_ptr<MediaJob>> media_jobs;  // MediaEncoder's: of items that are needed

  int32_t num_prompt_logprobs = 0;  // reported; a preempted prompt that is computed anew adds none
  std::vector<SampledToken> prompt_logprobs;  // that were not given out yet
  double cumulative_logprob = 0;              // where somebody asked for log-probabilities
  int64_t num_generated = 0;                  // given out, the end token included
  bool finished = false;
  absl::Time scheduled, first_token, last_token;
};

struct RunningRequest {
  uint64_t id = 0;
  Request request;
  std::unique_ptr<Decoding> decoding;
  std::shared_ptr<OutputChannel> outputs;
  std::shared_ptr<const std::vector<int32_t>> prompt;
  std::shared_ptr<const RequestMedia> media;  // null: there are none
  int64_t max_tokens = 0;                     // of one sequence
  std::vector<int32_t> end_token_ids;         // eos (unless ignored) and stop_token_ids
  std::vector<std::unique_ptr<RunningSequence>> sequences;
  size_t num_finished = 0;    // of them
  int64_t max_generated = 0;  // by one of them
  // While one of them says so, its sequences are not with the scheduler.
  bool paused_by_client = false;
  bool paused_for_reader = false;  // flow control
  bool is_paused() const { return paused_by_client || paused_for_reader; }
  absl::Time arrival;
  absl::Time deadline = absl::InfiniteFuture();
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_RUNNING_REQUEST_H_

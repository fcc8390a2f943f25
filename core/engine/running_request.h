// A request while it runs: its sequences with all that is needed to go on with them.
#ifndef KEEL_CORE_ENGINE_RUNNING_REQUEST_H_
#define KEEL_CORE_ENGINE_RUNNING_REQUEST_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "core/engine/request.h"
#include "core/engine/stop_checker.h"
#include "core/sampling/sampler.h"
#include "core/scheduler/sequence.h"
#include "core/text/detokenizer.h"

namespace keel {

struct RunningRequest;

// One of the request's n sequences. The engine thread's.
struct RunningSequence : Sequence {
  RunningSequence(RunningRequest* request, uint32_t index, SequenceSampler sampler,
                  IncrementalDetokenizer detokenizer, StopChecker stop)
      : request(request),
        index(index),
        sampler(std::move(sampler)),
        detokenizer(std::move(detokenizer)),
        stop(std::move(stop)) {}

  RunningRequest* request;
  uint32_t index;
  SequenceSampler sampler;
  IncrementalDetokenizer detokenizer;
  StopChecker stop;
  Output pending;                   // what was produced since the last output
  int32_t num_prompt_logprobs = 0;  // reported; a preempted prompt that is computed anew adds none
  bool finished = false;

  int64_t num_generated() const { return size() - prompt_tokens; }
};

struct RunningRequest {
  uint64_t id = 0;
  Request request;
  OutputCallback callback;
  std::shared_ptr<const std::vector<int32_t>> prompt;
  int64_t max_tokens = 0;              // of one sequence
  std::vector<int32_t> end_token_ids;  // eos (unless ignored) and stop_token_ids
  std::vector<std::unique_ptr<RunningSequence>> sequences;
  uint32_t unfinished = 0;
  absl::Time arrival, first_token, last_token;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_RUNNING_REQUEST_H_

// How what runs comes to its end: a sequence finishes; when the last one has, the request ends.
#ifndef KEEL_CORE_ENGINE_ENDING_H_
#define KEEL_CORE_ENGINE_ENDING_H_

#include <cstdint>
#include <vector>

#include "core/base/trace.h"
#include "core/engine/metrics.h"
#include "core/engine/output_worker.h"
#include "core/engine/running_request.h"
#include "core/scheduler/scheduler.h"

namespace keel {

// The parts of the engine that a decoding works on.
struct DecodingContext {
  Scheduler& scheduler;
  Metrics& metrics;
  Trace* trace;                      // null: off
  std::vector<OutputEvent>& events;  // for the output worker
  std::vector<uint64_t>& ended;      // requests that nobody needs any more after the step
};

// What the sequence has to say beside its tokens; takes the log-probabilities of its prompt.
OutputEvent EventOf(RunningSequence& sequence);

// Takes it from the scheduler, without a word to anybody.
void Leave(RunningSequence& sequence, DecodingContext& context);

// The sequence leaves, with `event` as its last; if it is the last of its request, that ends.
void FinishSequence(RunningSequence& sequence, SequenceEnd end, OutputEvent event,
                    DecodingContext& context);

// Counts a sequence that came to an end.
void CountFinished(const RunningSequence& sequence, FinishReason reason, DecodingContext& context);

// All sequences of the request have left; its last event is among context.events, or comes next.
void EndRequest(const RunningRequest& request, DecodingContext& context);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_ENDING_H_

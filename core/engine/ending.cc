#include "core/engine/ending.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"

namespace keel {
namespace {

const char* FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "";
}

FinishedSequence Summary(const RunningSequence& sequence) {
  FinishedSequence out;
  out.arrival = sequence.request->arrival;
  out.scheduled = sequence.scheduled;
  out.first_token = sequence.first_token;
  out.last_token = sequence.last_token;
  out.finished = absl::Now();
  out.prompt_tokens = sequence.prompt_tokens;
  out.cached_tokens = sequence.cached_tokens;
  out.generated_tokens = sequence.num_generated;
  out.max_tokens = sequence.request->max_tokens;
  out.num_preemptions = sequence.num_preemptions;
  return out;
}

}  // namespace

OutputEvent EventOf(RunningSequence& sequence) {
  OutputEvent event;
  event.stream = sequence.outputs;
  event.prompt_logprobs = std::exchange(sequence.prompt_logprobs, {});
  event.cumulative_logprob = sequence.cumulative_logprob;
  event.cached_tokens = sequence.cached_tokens;
  return event;
}

void Leave(RunningSequence& sequence, DecodingContext& context) {
  sequence.finished = true;
  context.scheduler.Remove(&sequence);
}

void CountFinished(const RunningSequence& sequence, FinishReason reason, DecodingContext& context) {
  context.metrics.SequenceFinished(Summary(sequence), FinishReasonName(reason));
}

void FinishSequence(RunningSequence& sequence, SequenceEnd end, OutputEvent event,
                    DecodingContext& context) {
  Leave(sequence, context);
  if (sequence.stop.has_value()) {
    if (!event.text.has_value()) event.text.emplace();
    *event.text += sequence.stop->Flush();
  }
  CountFinished(sequence, end.reason, context);
  RunningRequest& request = *sequence.request;
  request.max_generated = std::max(request.max_generated, sequence.num_generated);
  end.is_last = ++request.num_finished == request.sequences.size();
  if (end.is_last) EndRequest(request, context);
  event.end = std::move(end);
  context.events.push_back(std::move(event));
}

void EndRequest(const RunningRequest& request, DecodingContext& context) {
  context.metrics.RequestFinished(request.request.n, request.max_generated);
  TraceEnd(context.trace, "request", request.id, {{"generated", request.max_generated}});
  context.ended.push_back(request.id);
}

}  // namespace keel

// Tokens become outputs: stop conditions and ends. Text and callbacks are the output worker's.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/engine/engine.h"

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

bool Contains(const std::vector<int32_t>& tokens, int32_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
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

// Without tokens yet.
OutputEvent EventOf(RunningSequence& sequence) {
  OutputEvent event;
  event.stream = sequence.outputs;
  event.prompt_logprobs = std::exchange(sequence.prompt_logprobs, {});
  event.cumulative_logprob = sequence.cumulative_logprob;
  event.cached_tokens = sequence.cached_tokens;
  return event;
}

std::string& TextOf(OutputEvent& event) {
  if (!event.text.has_value()) event.text.emplace();
  return *event.text;
}

}  // namespace

void Engine::Take(RunningSequence& sequence, absl::Span<SampledToken> tokens) {
  OutputEvent event = EventOf(sequence);
  std::optional<SequenceEnd> end;
  for (SampledToken& token : tokens) {
    CountToken(sequence);
    sequence.cumulative_logprob += token.logprob;
    event.tokens.push_back(token.token);
    end = EndAfter(sequence, token.token, event);
    if (sequence.request->request.sampling.logprobs.has_value())
      event.logprobs.push_back(std::move(token));
    if (end.has_value()) break;
  }
  event.cumulative_logprob = sequence.cumulative_logprob;
  if (end.has_value()) return Finish(sequence, *std::move(end), std::move(event));
  events_.push_back(std::move(event));
}

void Engine::CountToken(RunningSequence& sequence) {
  const absl::Time now = absl::Now();
  if (sequence.num_generated == 0) {
    sequence.first_token = now;
    if (sequence.index == 0) {
      const RunningRequest& request = *sequence.request;
      metrics_->time_to_first_token_seconds.Observe(absl::ToDoubleSeconds(now - request.arrival));
      metrics_->PromptDone(sequence.prompt_tokens, sequence.cached_tokens);
      TraceMark(trace_.get(), "first token", request.id);
    }
  } else {
    metrics_->inter_token_latency_seconds.Observe(absl::ToDoubleSeconds(now - sequence.last_token));
  }
  sequence.last_token = now;
  metrics_->generation_tokens.Increment();
  ++sequence.num_generated;
}

std::optional<SequenceEnd> Engine::EndAfter(RunningSequence& sequence, int32_t token,
                                            OutputEvent& event) {
  const RunningRequest& request = *sequence.request;
  if (Contains(request.end_token_ids, token)) {
    event.silent_end = true;
    const bool was_asked = Contains(request.request.stop_token_ids, token);
    return SequenceEnd{FinishReason::kStop, was_asked ? absl::StrCat(token) : ""};
  }
  if (sequence.stop.has_value()) {
    absl::StatusOr<std::string> piece = sequence.stop->Add(token);
    if (!piece.ok()) return SequenceEnd{FinishReason::kError, "", piece.status()};
    TextOf(event) += *piece;
    if (const auto& matched = sequence.stop->matched(); matched.has_value())
      return SequenceEnd{FinishReason::kStop, *matched};
  }
  if (sequence.grammar != nullptr) {
    if (absl::Status status = sequence.grammar->Consume(token); !status.ok())
      return SequenceEnd{FinishReason::kError, "", std::move(status)};
    // Nothing but an end token could follow.
    if (sequence.grammar->IsStopped()) return SequenceEnd{FinishReason::kStop};
  }
  if (sequence.num_generated >= request.max_tokens) return SequenceEnd{FinishReason::kLength};
  return std::nullopt;
}

void Engine::Leave(RunningSequence& sequence) {
  sequence.finished = true;
  scheduler_.Remove(&sequence);
  if (sequence.request->paused) --num_paused_;
}

void Engine::Finish(RunningSequence& sequence, SequenceEnd end) {
  if (!sequence.finished) Finish(sequence, std::move(end), EventOf(sequence));
}

void Engine::Finish(RunningSequence& sequence, SequenceEnd end, OutputEvent event) {
  Leave(sequence);
  RunningRequest& request = *sequence.request;
  if (!request.forked) request.num_sequences = static_cast<int64_t>(request.sequences.size());
  if (sequence.stop.has_value()) TextOf(event) += sequence.stop->Flush();
  metrics_->SequenceFinished(Summary(sequence), FinishReasonName(end.reason));
  request.max_generated = std::max(request.max_generated, sequence.num_generated);
  end.is_last = ++request.num_finished == static_cast<uint32_t>(request.num_sequences);
  if (end.is_last) Close(request);
  event.end = std::move(end);
  events_.push_back(std::move(event));
}

// Gives the best texts. With `cut` the search ends before it is done: those that run follow the finished ones.
void Engine::FinishBeams(RunningRequest& request, FinishReason cut, const absl::Status& status) {
  RunningSequence& any = *request.sequences[0];
  if (any.finished) return;
  std::vector<BeamSearch::Finished> texts = request.beams->finished();
  for (size_t i = 0; cut != FinishReason::kNone && i < request.sequences.size(); ++i) {
    const RunningSequence& beam = *request.sequences[i];
    texts.push_back({{beam.tokens.begin() + beam.prompt_tokens, beam.tokens.end()},
                     0,
                     request.beams->logprob(i),
                     false});
  }
  std::vector<OutputEvent> ends;
  for (const BeamSearch::Finished& text : texts) {
    if (ends.size() == static_cast<size_t>(request.request.n)) break;
    OutputEvent event;
    event.tokens.assign(text.tokens.begin(), text.tokens.end());
    event.silent_end = text.by_end_token;
    event.cumulative_logprob = text.logprob;
    event.end = SequenceEnd{cut != FinishReason::kNone ? cut
                            : text.by_end_token        ? FinishReason::kStop
                                                       : FinishReason::kLength,
                            "", status};
    request.max_generated =
        std::max(request.max_generated, static_cast<int64_t>(text.tokens.size()));
    metrics_->generation_tokens.Increment(static_cast<double>(text.tokens.size()));
    ends.push_back(std::move(event));
  }
  if (ends.empty()) {  // every token was banned
    ends.emplace_back().end =
        SequenceEnd{FinishReason::kError, "",
                    absl::InvalidArgumentError("beam search found no token that is allowed")};
  }
  for (size_t i = 0; i < ends.size(); ++i) {
    ends[i].stream = std::make_shared<OutputStream>(*any.outputs);
    ends[i].stream->index = static_cast<uint32_t>(i);
    ends[i].prompt_logprobs = any.prompt_logprobs;
    ends[i].cached_tokens = any.cached_tokens;
  }
  ends.back().end->is_last = true;
  for (const auto& beam : request.sequences) Leave(*beam);
  metrics_->PromptDone(any.prompt_tokens, any.cached_tokens);
  metrics_->SequenceFinished(Summary(any), FinishReasonName(ends[0].end->reason));
  Close(request);
  for (OutputEvent& event : ends) events_.push_back(std::move(event));
}

void Engine::Close(RunningRequest& request) {
  metrics_->RequestFinished(request.request.n, request.max_generated);
  TraceEnd(trace_.get(), "request", request.id, {{"generated", request.max_generated}});
  ended_.push_back(request.id);
}

void Engine::End(RunningRequest& request, FinishReason reason, const absl::Status& status) {
  if (request.beams != nullptr) return FinishBeams(request, reason, status);
  for (size_t i = 0; i < request.sequences.size(); ++i)
    Finish(*request.sequences[i], {reason, "", status});
}

}  // namespace keel

// Tokens become outputs: text, stop conditions, ends.
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

// Moves what the sequence produced since its previous output to `out`.
void TakePending(RunningSequence& sequence, Output& out) {
  Output pending = std::exchange(sequence.pending, Output());
  out.text = std::move(pending.text);
  out.tokens = std::move(pending.tokens);
  out.logprobs = std::move(pending.logprobs);
  out.prompt_logprobs = std::move(pending.prompt_logprobs);
  out.cumulative_logprob = sequence.cumulative_logprob;
}

}  // namespace

Output Engine::NewOutput(const RunningRequest& request, uint32_t index,
                         int32_t cached_tokens) const {
  Output out;
  out.request = request.id;
  out.index = index;
  out.prompt_tokens = request.prompt;
  out.cached_tokens = cached_tokens;
  return out;
}

void Engine::Take(RunningSequence& sequence, const SampledToken& token) {
  RunningRequest& request = *sequence.request;
  const absl::Time now = absl::Now();
  if (sequence.num_generated == 0) {
    sequence.first_token = now;
    if (sequence.index == 0) {
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
  Output& pending = sequence.pending;
  pending.tokens.push_back(token.token);
  sequence.cumulative_logprob += token.logprob;
  if (request.request.sampling.logprobs.has_value()) pending.logprobs.push_back(token);

  if (Contains(request.end_token_ids, token.token)) {
    const bool was_asked = Contains(request.request.stop_token_ids, token.token);
    return Finish(sequence, FinishReason::kStop, was_asked ? absl::StrCat(token.token) : "");
  }
  absl::StatusOr<std::string> text = sequence.detokenizer.Add(token.token);
  if (!text.ok()) return Finish(sequence, FinishReason::kError, "", text.status());
  pending.text += sequence.stop.Add(*text);
  if (sequence.stop.matched().has_value())
    return Finish(sequence, FinishReason::kStop, *sequence.stop.matched());
  if (sequence.grammar != nullptr) {
    if (absl::Status status = sequence.grammar->Consume(token.token); !status.ok())
      return Finish(sequence, FinishReason::kError, "", std::move(status));
    // Nothing but an end token could follow.
    if (sequence.grammar->IsStopped()) return Finish(sequence, FinishReason::kStop);
  }
  if (sequence.num_generated >= request.max_tokens) return Finish(sequence, FinishReason::kLength);
  Send(sequence);
}

void Engine::Send(RunningSequence& sequence) {
  const RunningRequest& request = *sequence.request;
  const Output& pending = sequence.pending;
  const bool has_news = !pending.text.empty() || !pending.prompt_logprobs.empty();
  if (!request.request.stream || request.keeps_best() || !has_news) return;
  Output out = NewOutput(request, sequence.index, sequence.cached_tokens);
  TakePending(sequence, out);
  request.callback(std::move(out));
}

void Engine::Leave(RunningSequence& sequence) {
  sequence.finished = true;
  scheduler_.Remove(&sequence);
  if (sequence.request->paused) --num_paused_;
}

void Engine::Finish(RunningSequence& sequence, FinishReason reason, std::string stop_reason,
                    absl::Status status) {
  if (sequence.finished) return;
  Leave(sequence);
  RunningRequest& request = *sequence.request;
  if (!request.forked) request.num_sequences = static_cast<int64_t>(request.sequences.size());
  if (!sequence.stop.matched().has_value()) {
    // What detokenizer and stop strings held back: the text ends here.
    if (absl::StatusOr<std::string> rest = sequence.detokenizer.Flush(); rest.ok())
      sequence.pending.text += sequence.stop.Add(*rest);
    if (!sequence.stop.matched().has_value()) sequence.pending.text += sequence.stop.Flush();
  }
  Output out = NewOutput(request, sequence.index, sequence.cached_tokens);
  TakePending(sequence, out);
  out.finish_reason = reason;
  out.stop_reason = std::move(stop_reason);
  out.status = std::move(status);
  metrics_->SequenceFinished(Summary(sequence), FinishReasonName(reason));
  request.max_generated = std::max(request.max_generated, sequence.num_generated);
  const bool is_last = ++request.num_finished == static_cast<uint32_t>(request.num_sequences);
  if (!request.keeps_best()) {
    if (is_last) return SendEnds(request, {std::move(out)});
    return request.callback(std::move(out));
  }
  request.held.push_back(std::move(out));
  if (!is_last) return;
  std::stable_sort(request.held.begin(), request.held.end(), [](const Output& a, const Output& b) {
    return a.cumulative_logprob > b.cumulative_logprob;
  });
  request.held.resize(static_cast<size_t>(request.request.n));
  for (size_t i = 0; i < request.held.size(); ++i) request.held[i].index = static_cast<uint32_t>(i);
  SendEnds(request, std::move(request.held));
}

// Gives the best texts. With `cut` the search ends before it is done: those that run follow the finished ones.
void Engine::FinishBeams(RunningRequest& request, FinishReason cut, const absl::Status& status) {
  std::vector<Output> ends;
  const RunningSequence& any = *request.sequences[0];
  if (any.finished) return;
  std::vector<BeamSearch::Finished> texts = request.beams->finished();
  for (size_t i = 0; cut != FinishReason::kNone && i < request.sequences.size(); ++i) {
    const RunningSequence& beam = *request.sequences[i];
    texts.push_back({{beam.tokens.begin() + beam.prompt_tokens, beam.tokens.end()},
                     0,
                     request.beams->logprob(i),
                     false});
  }
  for (const BeamSearch::Finished& text : texts) {
    if (ends.size() == static_cast<size_t>(request.request.n)) break;
    Output out = NewOutput(request, static_cast<uint32_t>(ends.size()), any.cached_tokens);
    out.tokens = text.tokens;
    out.cumulative_logprob = text.logprob;
    out.prompt_logprobs = any.pending.prompt_logprobs;
    out.finish_reason = cut != FinishReason::kNone ? cut
                        : text.by_end_token        ? FinishReason::kStop
                                                   : FinishReason::kLength;
    out.status = status;
    std::vector<int32_t> spoken = text.tokens;
    if (text.by_end_token) spoken.pop_back();
    IncrementalDetokenizer detokenizer = any.detokenizer;
    for (absl::StatusOr<std::string> piece : {detokenizer.Add(spoken), detokenizer.Flush()}) {
      if (piece.ok()) {
        out.text += *piece;
      } else {
        out.finish_reason = FinishReason::kError;
        out.status = piece.status();
      }
    }
    request.max_generated =
        std::max(request.max_generated, static_cast<int64_t>(text.tokens.size()));
    metrics_->generation_tokens.Increment(static_cast<double>(text.tokens.size()));
    ends.push_back(std::move(out));
  }
  if (ends.empty()) {  // every token was banned
    ends.push_back(NewOutput(request, 0, any.cached_tokens));
    ends[0].finish_reason = FinishReason::kError;
    ends[0].status = absl::InvalidArgumentError("beam search found no token that is allowed");
  }
  for (const auto& beam : request.sequences) Leave(*beam);
  metrics_->PromptDone(any.prompt_tokens, any.cached_tokens);
  metrics_->SequenceFinished(Summary(any), FinishReasonName(ends[0].finish_reason));
  SendEnds(request, std::move(ends));
}

void Engine::SendEnds(RunningRequest& request, std::vector<Output> ends) {
  metrics_->RequestFinished(request.request.n, request.max_generated);
  TraceEnd(trace_.get(), "request", request.id, {{"generated", request.max_generated}});
  {
    absl::MutexLock lock(&mutex_);
    known_.erase(request.id);
  }
  ended_.push_back(request.id);
  ends.back().is_last = true;
  for (Output& end : ends) request.callback(std::move(end));
}

void Engine::End(RunningRequest& request, FinishReason reason, const absl::Status& status) {
  if (request.beams != nullptr) return FinishBeams(request, reason, status);
  for (size_t i = 0; i < request.sequences.size(); ++i)
    Finish(*request.sequences[i], reason, "", status);
}

}  // namespace keel

#include "core/engine/beam_decoding.h"

#include <algorithm>
#include <memory>

#include "core/engine/ending.h"

namespace keel {
namespace {

// A text and how it ended.
OutputEvent TextEvent(const BeamSearch::Finished& text, SequenceEnd end, bool shows_end_token) {
  OutputEvent event;
  event.tokens.assign(text.tokens.begin(), text.tokens.end());
  event.silent_end = text.by_end_token && !shows_end_token;
  event.cumulative_logprob = text.logprob;
  event.end = std::move(end);
  return event;
}

}  // namespace

void BeamDecoding::Take(Sampled& sampled, DecodingContext& context) {
  RunningSequence& beam = *sampled.sequence;
  RunningRequest& request = *beam.request;
  if (beam.finished) return;
  if (absl::IsDataLoss(sampled.status)) {
    context.metrics.corrupted_requests.Increment();
    return End(request, FinishReason::kError, sampled.status, context);
  }
  if (!sampled.status.ok()) dry_ = sampled.status;
  candidates_.resize(request.sequences.size());
  candidates_[beam.index] = std::move(sampled.candidates);
}

void BeamDecoding::Propose(RunningRequest& request, DecodingContext& context) {
  const bool all_came = std::all_of(candidates_.begin(), candidates_.end(),
                                    [](const auto& candidates) { return candidates.has_value(); });
  if (candidates_.empty() || !all_came || request.sequences[0]->finished) return;
  std::vector<absl::Span<const int32_t>> texts;
  std::vector<BeamSearch::Candidates> candidates;
  for (const auto& beam : request.sequences) {
    texts.push_back(
        absl::MakeConstSpan(beam->tokens).subspan(static_cast<size_t>(beam->prompt_tokens)));
    candidates.push_back(*std::move(candidates_[beam->index]));
  }
  candidates_.clear();
  const std::vector<BeamSearch::Next> next = search_.Advance(texts, candidates);
  if (next.empty()) return End(request, FinishReason::kNone, absl::OkStatus(), context);
  GoOn(request, next, context);
}

// A beam goes on as the first of its continuations; the others fork from it before it moves.
void BeamDecoding::GoOn(RunningRequest& request, const std::vector<BeamSearch::Next>& next,
                        DecodingContext& context) {
  std::vector<std::unique_ptr<RunningSequence>> beams;
  std::vector<int> uses(request.sequences.size());
  for (const BeamSearch::Next& n : next) {
    const RunningSequence& parent = *request.sequences[n.parent];
    if (uses[n.parent]++ == 0) {
      beams.push_back(nullptr);
      continue;
    }
    auto child = std::make_unique<RunningSequence>(parent, parent.sampler);
    context.scheduler.Fork(parent, child.get());
    beams.push_back(std::move(child));
  }
  for (size_t i = 0; i < request.sequences.size(); ++i) {
    if (uses[i] == 0) context.scheduler.Remove(request.sequences[i].get());
  }
  for (size_t i = 0; i < next.size(); ++i) {
    if (beams[i] == nullptr) beams[i] = std::move(request.sequences[next[i].parent]);
    beams[i]->index = static_cast<uint32_t>(i);
    beams[i]->sampler.Observe(next[i].token);
    beams[i]->tokens.push_back(next[i].token);
    ++beams[i]->num_generated;
  }
  request.sequences = std::move(beams);
}

// kNone: the search is over. Else it is cut: what runs follows the finished texts.
void BeamDecoding::End(RunningRequest& request, FinishReason reason, const absl::Status& status,
                       DecodingContext& context) {
  if (request.sequences[0]->finished) return;
  std::vector<BeamSearch::Finished> texts = search_.finished();
  const bool is_cut = reason != FinishReason::kNone;
  for (size_t i = 0; is_cut && i < request.sequences.size(); ++i) {
    const RunningSequence& beam = *request.sequences[i];
    texts.push_back({{beam.tokens.begin() + beam.prompt_tokens, beam.tokens.end()},
                     0,
                     search_.logprob(i),
                     false});
  }
  texts.resize(std::min(texts.size(), static_cast<size_t>(request.request.n)));
  std::vector<OutputEvent> ends;
  for (const BeamSearch::Finished& text : texts) {
    const FinishReason how = is_cut              ? reason
                             : text.by_end_token ? FinishReason::kStop
                                                 : FinishReason::kLength;
    ends.push_back(TextEvent(text, {how, "", status}, request.request.include_stop_str_in_output));
    request.max_generated =
        std::max(request.max_generated, static_cast<int64_t>(text.tokens.size()));
    context.metrics.generation_tokens.Increment(static_cast<double>(text.tokens.size()));
  }
  if (ends.empty()) ends.emplace_back().end = SequenceEnd{FinishReason::kError, "", dry_};
  Finish(request, std::move(ends), context);
}

void BeamDecoding::Finish(RunningRequest& request, std::vector<OutputEvent> ends,
                          DecodingContext& context) {
  RunningSequence& any = *request.sequences[0];
  for (size_t i = 0; i < ends.size(); ++i) {
    ends[i].stream = std::make_shared<OutputStream>(*any.outputs);
    ends[i].stream->index = static_cast<uint32_t>(i);
    ends[i].prompt_logprobs = any.prompt_logprobs;
    ends[i].cached_tokens = any.cached_tokens;
  }
  ends.back().end->is_last = true;
  for (const auto& beam : request.sequences) Leave(*beam, context);
  context.metrics.PromptDone(any.prompt_tokens, any.cached_tokens);
  CountFinished(any, ends[0].end->reason, context);
  EndRequest(request, context);
  for (OutputEvent& event : ends) context.events.push_back(std::move(event));
}

}  // namespace keel

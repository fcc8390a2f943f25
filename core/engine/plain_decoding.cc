#include "core/engine/plain_decoding.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/engine/ending.h"

namespace keel {
namespace {

bool Contains(const std::vector<int32_t>& tokens, int32_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

// A sequence that branches off where its prompt ends. A grammar that can't be copied is its error.
RunningSequence& ForkPrompt(RunningSequence& parent, SequenceSampler sampler, absl::Status* status,
                            DecodingContext& context) {
  RunningRequest& request = *parent.request;
  auto child = std::make_unique<RunningSequence>(parent, std::move(sampler));
  child->index = static_cast<uint32_t>(request.sequences.size());
  child->outputs = std::make_shared<OutputStream>(*parent.outputs);
  child->outputs->index = child->index;
  if (parent.grammar != nullptr) {
    absl::StatusOr<std::unique_ptr<GrammarMatcher>> grammar = parent.grammar->Clone();
    *status = grammar.status();
    if (grammar.ok()) child->grammar = *std::move(grammar);
  }
  context.scheduler.Fork(parent, child.get());
  request.sequences.push_back(std::move(child));
  return *request.sequences.back();
}

void CountToken(RunningSequence& sequence, DecodingContext& context) {
  const absl::Time now = absl::Now();
  Metrics& metrics = context.metrics;
  if (sequence.num_generated == 0) {
    sequence.first_token = now;
    if (sequence.index == 0) {
      const RunningRequest& request = *sequence.request;
      metrics.time_to_first_token_seconds.Observe(absl::ToDoubleSeconds(now - request.arrival));
      TraceMark(context.trace, "first token", request.id);
    }
  } else {
    metrics.inter_token_latency_seconds.Observe(absl::ToDoubleSeconds(now - sequence.last_token));
  }
  sequence.last_token = now;
  metrics.generation_tokens.Increment();
  ++sequence.num_generated;
}

std::string& TextOf(OutputEvent& event) {
  if (!event.text.has_value()) event.text.emplace();
  return *event.text;
}

// Whether and how `token` ends its sequence; its text, where the engine makes it, goes to `event`.
std::optional<SequenceEnd> EndAfter(RunningSequence& sequence, int32_t token, OutputEvent& event) {
  const RunningRequest& request = *sequence.request;
  const int64_t min_tokens = request.request.sampling.min_tokens;
  const bool is_end = Contains(request.end_token_ids, token);
  if (is_end) event.silent_end = !request.request.include_stop_str_in_output;
  if (sequence.stop.has_value() && !event.silent_end) {
    const bool may_stop = !is_end && sequence.num_generated > min_tokens;
    absl::StatusOr<std::string> piece = sequence.stop->Add(token, may_stop);
    if (!piece.ok()) return SequenceEnd{FinishReason::kError, "", piece.status()};
    TextOf(event) += *piece;
    if (const auto& matched = sequence.stop->matched(); matched.has_value())
      return SequenceEnd{FinishReason::kStop, *matched};
  }
  if (is_end) {
    SequenceEnd end{FinishReason::kStop};
    if (Contains(request.request.stop_token_ids, token)) {
      end.stop_reason = absl::StrCat(token);
      end.stop_token = token;
    }
    return end;
  }
  bool is_of_answer = true;
  if (std::optional<ReasoningTracker>& reasoning = sequence.reasoning; reasoning.has_value()) {
    is_of_answer = !reasoning->is_within() && token != reasoning->begin_token();
    if (absl::Status status = reasoning->Take(token); !status.ok())
      return SequenceEnd{FinishReason::kError, "", std::move(status)};
  }
  if (sequence.grammar != nullptr && is_of_answer) {
    if (absl::Status status = sequence.grammar->Consume(token); !status.ok())
      return SequenceEnd{FinishReason::kError, "", std::move(status)};
    // Nothing but an end token could follow, which min_tokens may forbid: the next step says so.
    if (sequence.grammar->IsStopped() && sequence.num_generated >= min_tokens)
      return SequenceEnd{FinishReason::kStop};
  }
  if (sequence.num_generated >= request.max_tokens) return SequenceEnd{FinishReason::kLength};
  return std::nullopt;
}

}  // namespace

void PlainDecoding::Take(Sampled& sampled, DecodingContext& context) {
  RunningSequence& sequence = *sampled.sequence;
  RunningRequest& request = *sequence.request;
  if (sequence.finished) return;
  if (sequence.num_generated == 0 && sequence.index == 0)
    context.metrics.PromptDone(sequence.prompt_tokens, sequence.cached_tokens);
  if (absl::IsDataLoss(sampled.status)) {
    context.metrics.corrupted_requests.Increment();
    return End(request, FinishReason::kError, sampled.status, context);
  }
  // They branch off before the sequence goes on, which may end it and free its blocks.
  std::vector<std::pair<RunningSequence*, absl::Status>> children(sampled.forks.size());
  for (size_t i = 0; i < children.size(); ++i) {
    auto& [child, status] = children[i];
    child = &ForkPrompt(sequence, std::move(sampled.forks[i].sampler), &status, context);
  }
  sequence.fork_seeds.clear();
  TakeTokens(sequence, absl::MakeSpan(sampled.tokens), sampled.status, context);
  for (size_t i = 0; i < children.size(); ++i) {
    const auto& [child, status] = children[i];
    TakeTokens(*child, absl::MakeSpan(&sampled.forks[i].token, 1), status, context);
  }
}

void PlainDecoding::TakeTokens(RunningSequence& sequence, absl::Span<SampledToken> tokens,
                               const absl::Status& status, DecodingContext& context) {
  OutputEvent event = EventOf(sequence);
  std::optional<SequenceEnd> end;
  if (sequence.request->max_tokens == 0) {  // only its prompt was wanted
    tokens = {};
    end = SequenceEnd{FinishReason::kLength};
  }
  // Accepted drafts are among the sequence's tokens already.
  if (status.ok() && !tokens.empty()) sequence.tokens.push_back(tokens.back().token);
  for (SampledToken& token : tokens) {
    CountToken(sequence, context);
    sequence.cumulative_logprob += token.logprob;
    event.tokens.push_back(token.token);
    end = EndAfter(sequence, token.token, event);
    if (sequence.request->request.sampling.logprobs.has_value())
      event.logprobs.push_back(std::move(token));
    if (end.has_value()) break;
  }
  if (!end.has_value() && !status.ok()) end = SequenceEnd{FinishReason::kError, "", status};
  event.cumulative_logprob = sequence.cumulative_logprob;
  if (end.has_value()) return FinishSequence(sequence, *std::move(end), std::move(event), context);
  context.events.push_back(std::move(event));
}

void PlainDecoding::End(RunningRequest& request, FinishReason reason, const absl::Status& status,
                        DecodingContext& context) {
  for (const auto& sequence : request.sequences) {
    if (!sequence->finished)
      FinishSequence(*sequence, {reason, "", status}, EventOf(*sequence), context);
  }
}

}  // namespace keel

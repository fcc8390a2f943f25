// One step: schedule, run, sample, account.
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/engine/engine.h"
#include "core/engine/prompt_lookup.h"
#include "core/kernels/parallel.h"
#include "core/sampling/beam_candidates.h"

namespace keel {
namespace {

std::vector<RunningSequence*> WithGrammar(const LogitRows& rows) {
  std::vector<RunningSequence*> out;
  for (const LogitRows::Sampled& sampled : rows.sampled) {
    if (sampled.sequence->grammar != nullptr) out.push_back(sampled.sequence);
  }
  return out;
}

absl::StatusOr<at::Tensor> RunModel(Executor& executor, const Step& step, const Batch& batch) {
  KEEL_RETURN_IF_ERROR(executor.Do(step.work));
  return executor.Step(batch);
}

// Another sequence of the request at the same place. Its blocks come by Scheduler::Fork.
std::unique_ptr<RunningSequence> NewFork(const RunningSequence& parent) {
  auto child = std::make_unique<RunningSequence>(parent.request, parent.sampler, parent.outputs);
  static_cast<Sequence&>(*child) = ForkOf(parent);
  child->stop = parent.stop;
  child->prompt_logprobs = parent.prompt_logprobs;
  child->num_prompt_logprobs = parent.num_prompt_logprobs;
  child->scheduled = parent.scheduled;
  return child;
}

}  // namespace

void Engine::RunStep() {
  StepTimer timer(trace_.get());
  timer.Enter(StepPart::kSchedule);
  Propose();
  const Step step = scheduler_.Schedule();
  NoteScheduled(step);
  if (step.empty()) {
    if (!step.preempted.empty()) return;  // those get their turn in the next
    // A bug, which must not hang everybody for ever.
    for (const auto& [id, request] : requests_)
      End(*request, FinishReason::kError, absl::InternalError("no sequence can run"));
    return;
  }
  timer.Enter(StepPart::kPrepare);
  LogitRows rows;
  const Batch batch = MakeBatch(step, rows);
  masks_.Start(WithGrammar(rows));
  timer.Enter(StepPart::kForward);
  const absl::StatusOr<at::Tensor> logits = RunModel(*model_.executor, step, batch);
  timer.Enter(StepPart::kMask);
  masks_.Wait();
  if (logits.ok()) {
    TakeLogits(step, rows, logits->data_ptr<float>(), timer);
  } else {
    Fail(step, logits.status());
  }
  metrics_->StepRan(step.num_tokens, timer.Stop({{"tokens", step.num_tokens},
                                                 {"sequences", step.items.size()},
                                                 {"waiting", scheduler_.num_waiting()}}));
  TraceCounter(trace_.get(), "sequences",
               {{"running", scheduler_.num_running()}, {"waiting", scheduler_.num_waiting()}});
  TraceCounter(trace_.get(), "kv cache", {{"usage", blocks_.usage()}});
}

void Engine::Propose() {
  PromptLookupOptions lookup;
  lookup.max_ngram = static_cast<int32_t>(options_.prompt_lookup_max);
  lookup.min_ngram = static_cast<int32_t>(options_.prompt_lookup_min);
  if (options_.spec_tokens() == 0) return;
  for (Sequence* scheduled : scheduler_.running()) {
    RunningSequence& sequence = Running(scheduled);
    const RunningRequest& request = *sequence.request;
    // Masks of guesses would need the grammar to go back; beams go on from several places at once.
    if (sequence.num_behind() != 1 || sequence.num_generated == 0 || sequence.grammar != nullptr ||
        request.beams != nullptr) {
      continue;
    }
    lookup.num_tokens = static_cast<int32_t>(
        std::min(options_.spec_tokens(), request.max_tokens - sequence.num_generated - 1));
    if (lookup.num_tokens < 1) continue;
    const std::vector<int32_t> drafts = PromptLookup(sequence.tokens, lookup);
    sequence.tokens.insert(sequence.tokens.end(), drafts.begin(), drafts.end());
    sequence.num_drafts = static_cast<int32_t>(drafts.size());
  }
}

void Engine::NoteScheduled(const Step& step) {
  for (Sequence* preempted : step.preempted) {
    metrics_->num_preemptions.Increment();
    TraceMark(trace_.get(), "preempted", Running(preempted).request->id);
  }
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = Running(item.sequence);
    if (sequence.scheduled != absl::Time()) continue;
    sequence.scheduled = absl::Now();
    metrics_->PromptLookedUp(sequence.prompt_tokens, sequence.cached_tokens);
    TraceMark(trace_.get(), "scheduled", sequence.request->id,
              {{"cached_tokens", sequence.cached_tokens}});
  }
}

void Engine::TakePromptLogprobs(const LogitRows& rows, float* logits) {
  if (rows.of_prompt.empty()) return;
  std::vector<SampledToken> tokens(rows.of_prompt.size());
  ParallelFor(static_cast<int64_t>(tokens.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const LogitRows::OfPrompt& row = rows.of_prompt[static_cast<size_t>(i)];
      const absl::Span<const float> values(logits + row.row * model_.vocab_size,
                                           static_cast<size_t>(model_.vocab_size));
      tokens[static_cast<size_t>(i)] =
          ReportLogprobs(values, row.sequence->tokens[static_cast<size_t>(row.position) + 1],
                         *row.sequence->request->request.sampling.prompt_logprobs);
    }
  });
  for (size_t i = 0; i < tokens.size(); ++i) {
    ++rows.of_prompt[i].sequence->num_prompt_logprobs;
    rows.of_prompt[i].sequence->prompt_logprobs.push_back(std::move(tokens[i]));
  }
}

// The other sequences that a prompt becomes, now that it is computed. They draw from its logits.
std::vector<RunningSequence*> Engine::ForkPrompt(RunningSequence& sequence) {
  RunningRequest& request = *sequence.request;
  std::vector<RunningSequence*> children;
  if (request.forked || request.beams != nullptr) return children;
  request.forked = true;
  for (int64_t i = 1; i < request.num_sequences; ++i) {
    std::unique_ptr<RunningSequence> child = NewFork(sequence);
    child->index = static_cast<uint32_t>(i);
    child->outputs = std::make_shared<OutputStream>(*sequence.outputs);
    child->outputs->index = child->index;
    child->sampler.SetSeed(request.seed + static_cast<uint64_t>(i));
    child->mask = sequence.mask;
    child->mask_status = sequence.mask_status;
    if (sequence.grammar != nullptr) {
      absl::StatusOr<std::unique_ptr<GrammarMatcher>> grammar = sequence.grammar->Clone();
      if (grammar.ok()) {
        child->grammar = *std::move(grammar);
      } else {
        child->mask_status = grammar.status();
      }
    }
    children.push_back(child.get());
    request.sequences.push_back(std::move(child));
  }
  return children;
}

void Engine::TakeLogits(const Step& step, const LogitRows& rows, float* logits, StepTimer& timer) {
  timer.Enter(StepPart::kSample);
  TakePromptLogprobs(rows, logits);
  const auto vocab = static_cast<size_t>(model_.vocab_size);
  struct Draw {
    RunningSequence* sequence;
    RunningSequence* forked_from;  // null: not now
  };
  std::vector<Draw> draws;  // beside jobs_
  std::vector<LogitRows::Sampled> of_beams;
  jobs_.clear();
  for (const LogitRows::Sampled& sampled : rows.sampled) {
    RunningSequence& sequence = *sampled.sequence;
    if (sequence.request->beams != nullptr) {
      of_beams.push_back(sampled);
      continue;
    }
    const std::vector<RunningSequence*> children = ForkPrompt(sequence);
    const auto add = [&](RunningSequence& s, RunningSequence* forked_from) {
      SampleJob job;
      job.sampler = &s.sampler;
      job.logits = absl::MakeSpan(logits + sampled.first * model_.vocab_size,
                                  vocab * static_cast<size_t>(1 + s.num_drafts));
      job.drafts = absl::MakeConstSpan(s.tokens).last(static_cast<size_t>(s.num_drafts));
      if (s.grammar != nullptr) job.allowed = s.mask;
      job.shared_logits = !children.empty();
      jobs_.push_back(std::move(job));
      draws.push_back({&s, forked_from});
    };
    add(sequence, nullptr);
    for (RunningSequence* child : children) add(*child, &sequence);
  }
  SampleAll(absl::MakeSpan(jobs_));
  ParallelFor(static_cast<int64_t>(of_beams.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto& [sequence, row] = of_beams[static_cast<size_t>(i)];
      sequence->candidates =
          BeamCandidates(sequence->sampler, {logits + row * model_.vocab_size, vocab},
                         sequence->request->beams->num_candidates());
    }
  });

  timer.Enter(StepPart::kOutput);
  for (size_t i = 0; i < draws.size(); ++i) {
    RunningSequence& sequence = *draws[i].sequence;
    if (sequence.num_drafts == 0) continue;
    const int32_t accepted = static_cast<int32_t>(jobs_[i].tokens.size()) - 1;
    metrics_->DraftVerified(sequence.num_drafts, accepted);
    sequence.tokens.resize(sequence.tokens.size() -
                           static_cast<size_t>(sequence.num_drafts - accepted));
    sequence.num_drafts = 0;
  }
  scheduler_.Advance(step);
  for (const Draw& draw : draws) {
    if (draw.forked_from != nullptr) scheduler_.Fork(*draw.forked_from, draw.sequence);
  }
  for (size_t i = 0; i < draws.size(); ++i) {
    RunningSequence& sequence = *draws[i].sequence;
    if (!sequence.mask_status.ok()) {
      Finish(sequence, {FinishReason::kError, "", sequence.mask_status});
      continue;
    }
    sequence.tokens.push_back(jobs_[i].tokens.back().token);
    Take(sequence, absl::MakeSpan(jobs_[i].tokens));
  }
  std::set<RunningRequest*> searches;
  for (const LogitRows::Sampled& sampled : of_beams) searches.insert(sampled.sequence->request);
  for (RunningRequest* request : searches) AdvanceBeams(*request);
}

void Engine::AdvanceBeams(RunningRequest& request) {
  std::vector<absl::Span<const int32_t>> texts;
  std::vector<BeamSearch::Candidates> candidates;
  for (const auto& beam : request.sequences) {
    if (beam->candidates.empty()) return;  // its turn comes; the others keep theirs until then
  }
  for (const auto& beam : request.sequences) {
    texts.push_back(
        absl::MakeConstSpan(beam->tokens).subspan(static_cast<size_t>(beam->prompt_tokens)));
    candidates.push_back(std::move(beam->candidates));
  }
  const std::vector<BeamSearch::Next> next = request.beams->Advance(texts, candidates);
  if (next.empty()) return FinishBeams(request);
  // A beam goes on as the first of its continuations; the others fork from it before it moves.
  std::vector<std::unique_ptr<RunningSequence>> beams;
  std::vector<int> uses(request.sequences.size());
  for (const BeamSearch::Next& n : next) {
    RunningSequence& parent = *request.sequences[n.parent];
    if (uses[n.parent]++ == 0) {
      beams.push_back(nullptr);
      continue;
    }
    std::unique_ptr<RunningSequence> child = NewFork(parent);
    scheduler_.Fork(parent, child.get());
    beams.push_back(std::move(child));
  }
  for (size_t i = 0; i < request.sequences.size(); ++i) {
    if (uses[i] == 0) scheduler_.Remove(request.sequences[i].get());
  }
  for (size_t i = 0; i < next.size(); ++i) {
    if (beams[i] == nullptr) beams[i] = std::move(request.sequences[next[i].parent]);
    beams[i]->index = static_cast<uint32_t>(i);
    beams[i]->candidates.clear();
    beams[i]->sampler.Observe(next[i].token);
    beams[i]->tokens.push_back(next[i].token);
    ++beams[i]->num_generated;
  }
  request.sequences = std::move(beams);
}

void Engine::Fail(const Step& step, const absl::Status& status) {
  // Whoever was in this step can't go on: its cache is in doubt. The others do.
  std::set<RunningRequest*> failed;
  for (const Step::Item& item : step.items) failed.insert(Running(item.sequence).request);
  for (RunningRequest* request : failed) End(*request, FinishReason::kError, status);
}

}  // namespace keel

#include "core/engine/model_runner.h"

#include <ATen/core/Tensor.h>

#include <utility>

#include "core/base/status.h"
#include "core/engine/running_request.h"
#include "core/engine/token_mask.h"
#include "core/kernels/parallel.h"
#include "core/sampling/beam_candidates.h"

namespace keel {
namespace {

std::vector<RunningSequence*> Masked(const LogitRows& rows) {
  std::vector<RunningSequence*> out;
  for (const LogitRows::Sampled& row : rows.sampled) {
    if (IsMasked(*row.sequence)) out.push_back(row.sequence);
  }
  return out;
}

absl::StatusOr<at::Tensor> RunModel(Executor& executor, const Step& step, const Batch& batch) {
  KEEL_RETURN_IF_ERROR(executor.Do(step.work));
  return executor.Step(batch);
}

}  // namespace

absl::StatusOr<absl::Span<Sampled>> ModelRunner::Run(const Step& step, StepTimer& timer) {
  if (pooling_.has_value()) return RunPooling(step, timer);
  timer.Enter(StepPart::kPrepare);
  rows_ = {};
  Batch batch = MakeBatch(step, rows_);
  masks_.Start(Masked(rows_), vocab_size_);
  timer.Enter(StepPart::kForward);
  media_.AddMedia(step, batch);
  const absl::StatusOr<at::Tensor> result = RunModel(executor_, step, batch);
  timer.Enter(StepPart::kMask);
  masks_.Wait();
  KEEL_RETURN_IF_ERROR(result.status());

  timer.Enter(StepPart::kSample);
  auto* logits = result->data_ptr<float>();
  ReportPrompts(logits);
  jobs_.clear();
  sampled_.clear();
  sampled_.resize(rows_.sampled.size());
  for (size_t i = 0; i < sampled_.size(); ++i) AddDraws(rows_.sampled[i], sampled_[i], logits);
  SampleAll(absl::MakeSpan(jobs_));
  size_t job = 0;
  for (Sampled& sampled : sampled_) {
    if (sampled.sequence->num_candidates > 0 || !sampled.status.ok()) continue;
    TakeDraws(sampled, &jobs_[job]);
    job += 1 + sampled.sequence->fork_seeds.size();
  }
  FindCandidates(logits);
  return absl::MakeSpan(sampled_);
}

absl::StatusOr<absl::Span<Sampled>> ModelRunner::RunPooling(const Step& step, StepTimer& timer) {
  timer.Enter(StepPart::kPrepare);
  std::vector<RunningSequence*> sequences;
  const Batch batch = MakePoolingBatch(step, *pooling_, sequences);
  timer.Enter(StepPart::kForward);
  KEEL_ASSIGN_OR_RETURN(const at::Tensor vectors, RunModel(executor_, step, batch));
  timer.Enter(StepPart::kSample);
  sampled_.clear();
  sampled_.resize(sequences.size());
  const auto* values = vectors.const_data_ptr<float>();
  const int64_t size = vectors.size(1);
  for (size_t i = 0; i < sequences.size(); ++i) {
    sampled_[i].sequence = sequences[i];
    sampled_[i].vector.assign(values, values + size);
    values += size;
  }
  return absl::MakeSpan(sampled_);
}

void ModelRunner::ReportPrompts(float* logits) {
  if (rows_.of_prompt.empty()) return;
  std::vector<SampledToken> tokens(rows_.of_prompt.size());
  ParallelFor(static_cast<int64_t>(tokens.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const LogitRows::OfPrompt& row = rows_.of_prompt[static_cast<size_t>(i)];
      tokens[static_cast<size_t>(i)] = ReportLogprobs(
          Row(logits, row.row), row.sequence->tokens[static_cast<size_t>(row.position) + 1],
          *row.sequence->request->request.sampling.prompt_logprobs);
    }
  });
  for (size_t i = 0; i < tokens.size(); ++i) {
    ++rows_.of_prompt[i].sequence->num_prompt_logprobs;
    rows_.of_prompt[i].sequence->prompt_logprobs.push_back(std::move(tokens[i]));
  }
}

// The sequence draws, and so do those that branch off; from the same rows.
void ModelRunner::AddDraws(const LogitRows::Sampled& row, Sampled& sampled, float* logits) {
  RunningSequence& sequence = *row.sequence;
  sampled.sequence = &sequence;
  sampled.status = sequence.media_status.ok() ? sequence.mask_status : sequence.media_status;
  if (sequence.num_candidates > 0 || !sampled.status.ok()) return;
  for (const uint64_t seed : sequence.fork_seeds) {
    sampled.forks.push_back({sequence.sampler, {}});
    sampled.forks.back().sampler.SetSeed(seed);
  }
  SampleJob job;
  job.sampler = &sequence.sampler;
  job.logits = Row(logits, row.first, 1 + sequence.num_drafts);
  job.drafts = absl::MakeConstSpan(sequence.tokens).last(static_cast<size_t>(sequence.num_drafts));
  if (IsMasked(sequence)) job.allowed = sequence.mask;
  job.shared_logits = !sampled.forks.empty();
  jobs_.push_back(job);
  for (Sampled::Fork& fork : sampled.forks) {
    job.sampler = &fork.sampler;
    jobs_.push_back(job);
  }
}

void ModelRunner::TakeDraws(Sampled& sampled, SampleJob* jobs) {
  RunningSequence& sequence = *sampled.sequence;
  sampled.tokens = std::move(jobs[0].tokens);
  sampled.status = std::move(jobs[0].status);
  for (size_t i = 0; i < sampled.forks.size() && sampled.status.ok(); ++i) {
    sampled.status = std::move(jobs[1 + i].status);
    if (sampled.status.ok()) sampled.forks[i].token = std::move(jobs[1 + i].tokens[0]);
  }
  if (!sampled.status.ok()) sampled.forks.clear();  // the same logits and constraints
  sampled.num_drafts = std::exchange(sequence.num_drafts, 0);
  sampled.num_accepted =
      static_cast<int32_t>(sampled.tokens.size()) - (sampled.status.ok() ? 1 : 0);
  sequence.tokens.resize(sequence.tokens.size() -
                         static_cast<size_t>(sampled.num_drafts - sampled.num_accepted));
}

void ModelRunner::FindCandidates(float* logits) {
  std::vector<size_t> beams;
  for (size_t i = 0; i < sampled_.size(); ++i) {
    if (sampled_[i].sequence->num_candidates > 0) beams.push_back(i);
  }
  ParallelFor(static_cast<int64_t>(beams.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const size_t i = beams[static_cast<size_t>(b)];
      const RunningSequence& beam = *sampled_[i].sequence;
      auto candidates =
          BeamCandidates(beam.sampler, Row(logits, rows_.sampled[i].first), beam.num_candidates);
      sampled_[i].status = candidates.status();
      if (candidates.ok()) sampled_[i].candidates = *std::move(candidates);
    }
  });
}

}  // namespace keel

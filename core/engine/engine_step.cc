// One step: schedule, run and sample, decode.
#include <algorithm>
#include <numeric>
#include <set>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "core/engine/step_timer.h"

namespace keel {

namespace {

// Of encoders where nobody decodes: who comes meanwhile is seen after that.
constexpr absl::Duration kEncodingAlone = absl::Milliseconds(250);

}  // namespace

void Engine::RunStep() {
  StepTimer timer(trace_.get());
  MediaEncoder& media = runner_.media();
  if (media.pending()) {
    timer.Enter(StepPart::kEncode);
    media.Advance(encode_for_);
  }
  timer.Enter(StepPart::kSchedule);
  scheduler_.SetEncoding(media.pending());
  const Step step = scheduler_.Schedule();
  encode_for_ = std::min(absl::Nanoseconds(scheduler_.EncodingNanoseconds(step)), kEncodingAlone);
  NoteScheduled(step);
  if (step.empty()) {
    if (!step.preempted.empty()) return;  // those get their turn in the next
    if (step.waits_for_media && media.pending()) return metrics_->PartsRan(timer.Stop());
    // A bug, which must neither hang everybody for ever nor end all for one.
    const Sequence* stuck = scheduler_.FirstStuck();
    return End(*stuck->running->request, FinishReason::kError,
               absl::InternalError("the request can't go on: no sequence can run"));
  }
  const absl::StatusOr<absl::Span<Sampled>> sampled = runner_.Run(step, timer);
  timer.Enter(StepPart::kOutput);
  if (sampled.ok()) {
    scheduler_.Advance(step);
    Decode(*sampled);
  } else {
    Fail(step, sampled.status());
  }
  const StepSeconds& seconds =
      timer.Stop({{"tokens", step.num_tokens},
                  {"prompt_tokens", step.num_tokens - step.num_decode_tokens},
                  {"sequences", step.items.size()},
                  {"waiting", scheduler_.num_waiting()}});
  metrics_->StepRan(step.num_tokens, seconds);
  if (sampled.ok()) {
    const double total = std::accumulate(seconds.begin(), seconds.end(), 0.0) -
                         seconds[static_cast<size_t>(StepPart::kEncode)];
    scheduler_.StepTook(step, static_cast<int64_t>(total * 1e9));
  }
  TraceCounter(trace_.get(), "sequences",
               {{"running", scheduler_.num_running()}, {"waiting", scheduler_.num_waiting()}});
  TraceCounter(trace_.get(), "kv cache", {{"usage", blocks_.usage()}});
}

void Engine::NoteScheduled(const Step& step) {
  for (const Sequence* preempted : step.preempted) {
    metrics_->num_preemptions.Increment();
    TraceMark(trace_.get(), "preempted", preempted->running->request->id);
  }
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = *item.sequence->running;
    if (sequence.scheduled != absl::Time()) continue;
    sequence.scheduled = absl::Now();
    metrics_->PromptLookedUp(sequence.prompt_tokens, sequence.cached_tokens);
    TraceMark(trace_.get(), "scheduled", sequence.request->id,
              {{"cached_tokens", sequence.cached_tokens}});
  }
}

void Engine::Decode(absl::Span<Sampled> sampled) {
  sampled_requests_.clear();
  for (Sampled& s : sampled) {
    RunningRequest* request = s.sequence->request;
    request->decoding->Take(s, decoding_);
    // A request's sequences mostly follow each other.
    if (sampled_requests_.empty() || sampled_requests_.back() != request)
      sampled_requests_.push_back(request);
  }
  for (RunningRequest* request : sampled_requests_) request->decoding->Propose(*request, decoding_);
}

void Engine::Fail(const Step& step, const absl::Status& status) {
  // Whoever was in this step can't go on: its cache is in doubt. The others do.
  std::set<RunningRequest*> failed;
  for (const Step::Item& item : step.items) failed.insert(item.sequence->running->request);
  for (RunningRequest* request : failed) End(*request, FinishReason::kError, status);
}

}  // namespace keel

#include "core/engine/engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/engine/engine_info.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

PromptLookupOptions DraftOptions(const SpeculationOptions& options) {
  PromptLookupOptions out;
  out.num_tokens = options.num_drafts();
  out.max_ngram = options.max_ngram;
  out.min_ngram = options.min_ngram;
  return out;
}

// That it has at its most.
int64_t NumSequences(const Request& request) {
  return request.beams.has_value() ? request.beams->width : request.best_of.value_or(request.n);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  const auto threads = SharedThreadPool(options.threads, options.pin_threads);
  const ScopedThreadPool scope(*threads);
  KEEL_ASSIGN_OR_RETURN(Model model, LoadModel(options));
  return Serve(options, std::move(model));
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Serve(const EngineOptions& options, Model model) {
  std::unique_ptr<Trace> trace;
  if (!options.trace.empty()) {
    KEEL_ASSIGN_OR_RETURN(trace, Trace::Open(JoinPath(options.model.base_dir, options.trace)));
  }
  if (options.speculation.num_drafts() > 0 && model.blocks.num_state_slots > 0) {
    return WithFlag(
        absl::InvalidArgumentError(absl::StrCat(
            "--spec-method is ngram, but ", model.architecture,
            " has recurrent layers: what a wrong guess did to their state can't be undone")),
        "spec-method");
  }
  std::unique_ptr<MediaLoader> media;
  if (model.processor != nullptr) {
    KEEL_ASSIGN_OR_RETURN(media, MediaLoader::Create(options.media, options.model.base_dir));
  }
  return std::unique_ptr<Engine>(
      new Engine(options, std::move(model), std::move(trace), std::move(media)));
}

Engine::Engine(const EngineOptions& options, Model model, std::unique_ptr<Trace> trace,
               std::unique_ptr<MediaLoader> media)
    : max_sequences_(options.max_queued_requests + options.scheduler.max_num_seqs),
      trace_(std::move(trace)),
      model_(std::move(model)),
      metrics_(std::make_unique<Metrics>(NameOf(options.model, model_),
                                         MetricsConfigOf(options, model_))),
      media_(std::move(media)),
      preparer_(model_, DraftOptions(options.speculation), *metrics_, media_.get()),
      info_json_(InfoJson(options, model_)),
      blocks_(model_.blocks),
      scheduler_(options.scheduler, blocks_),
      runner_(*model_.executor, model_.vocab_size,
              model_.pooling.has_value() ? std::optional(model_.pooling->type) : std::nullopt,
              options.media_cache_bytes, options.max_encoder_tokens),
      threads_(SharedThreadPool(options.threads, options.pin_threads)),
      loop_(EngineLoop::Shared()),
      outputs_(*metrics_, trace_.get(),
               {.no_text = [this](uint64_t request) { Cancel(request).IgnoreError(); },
                .last =
                    [this](uint64_t request) {
                      absl::MutexLock lock(&mutex_);
                      const auto found = open_.find(request);
                      open_sequences_ -= found->second.sequences;
                      open_.erase(found);
                    },
                .too_far_ahead =
                    [this](uint64_t request) { Tell(request, Command::kHold).IgnoreError(); },
                .caught_up =
                    [this](uint64_t request) { Tell(request, Command::kGoOn).IgnoreError(); }}) {
  scheduler_.SetMediaGate([this](Sequence& sequence, int32_t begin, int32_t n) {
    return runner_.media().NumReady(*sequence.running, begin, n);
  });
  loop_->Add(this);
}

Engine::~Engine() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  loop_->Wake();
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&stopped_));
  }
  loop_->Remove(this);
}

absl::StatusOr<uint64_t> Engine::Submit(const Request& request, OutputCallback callback) {
  const absl::Time arrival = absl::Now();
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<RunningRequest> running,
                        preparer_.Prepare(request, std::move(callback)));
  running->arrival = arrival;
  if (request.timeout_ms.has_value())
    running->deadline = arrival + absl::Milliseconds(*request.timeout_ms);
  uint64_t id;
  {
    absl::MutexLock lock(&mutex_);
    KEEL_RETURN_IF_ERROR(Admit(*running, &id));
    TraceBegin(trace_.get(), "request", id, {{"prompt_tokens", running->prompt->size()}});
    incoming_.push_back(std::move(running));
  }
  loop_->Wake();
  return id;
}

absl::Status Engine::Admit(RunningRequest& request, uint64_t* id) {
  if (stopping_) return absl::UnavailableError("the engine is shutting down");
  const int64_t sequences = NumSequences(request.request);
  if (sequences > max_sequences_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the request has ", sequences, " sequences, expected at most ", max_sequences_,
        ", all that the engine takes at once (--max-queued-requests and --max-num-seqs)"));
  }
  if (open_sequences_ + sequences > max_sequences_) {
    metrics_->rejected_queue_full.Increment();
    return absl::ResourceExhaustedError(
        absl::StrCat(open_sequences_, " sequences are running or waiting and the request has ",
                     sequences, ", the limit is ", max_sequences_,
                     " (--max-queued-requests and --max-num-seqs); try again later"));
  }
  *id = next_id_++;
  request.id = request.outputs->request = request.sequences[0]->id = *id;
  open_sequences_ += sequences;
  open_.emplace(*id, OpenRequest{request.outputs, sequences});
  return absl::OkStatus();
}

absl::Status Engine::Tell(uint64_t id, Command command) {
  {
    absl::MutexLock lock(&mutex_);
    if (!open_.contains(id))
      return absl::NotFoundError(absl::StrCat("request ", id, " has ended or never was"));
    commands_.push_back({id, command});
  }
  loop_->Wake();
  return absl::OkStatus();
}

absl::Status Engine::Read(uint64_t id, int64_t tokens) {
  std::shared_ptr<OutputChannel> channel;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = open_.find(id);
    if (found == open_.end())
      return absl::NotFoundError(absl::StrCat("request ", id, " has ended or never was"));
    channel = found->second.channel;
  }
  outputs_.Read(channel, tokens);
  return absl::OkStatus();
}

absl::Status Engine::ResetPrefixCache() {
  {
    absl::MutexLock lock(&mutex_);
    if (!open_.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the prefix cache is in use by ", open_.size(), " requests; wait for them"));
    }
    reset_prefixes_ = true;
  }
  loop_->Wake();
  return absl::OkStatus();
}

absl::Status Engine::Check() const {
  absl::MutexLock lock(&mutex_);
  return stopping_ ? absl::UnavailableError("the engine is shutting down") : absl::OkStatus();
}

size_t Engine::num_requests() const {
  absl::MutexLock lock(&mutex_);
  return open_.size();
}

bool Engine::RunOnce() {
  const ScopedThreadPool scope(*threads_);
  bool stopping = false;
  {
    absl::MutexLock lock(&mutex_);
    stopping = stopping_;
  }
  // After that: what was submitted before the engine was told to stop is among them.
  TakeIncoming();
  EndOverdue();
  if (stopping) {
    for (const auto& [id, request] : requests_) End(*request, FinishReason::kAbort);
  } else if (!scheduler_.empty()) {
    RunStep();
  }
  ForgetEnded();
  UpdateLoad();
  outputs_.Post(events_);
  if (stopping) {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    return false;
  }
  return !scheduler_.empty();
}

absl::Time Engine::WakeAt() const {
  return deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
}

void Engine::Idled(absl::Duration duration) {
  metrics_->engine_loop_idle_seconds.Increment(absl::ToDoubleSeconds(duration));
}

void Engine::TakeIncoming() {
  std::vector<std::unique_ptr<RunningRequest>> incoming;
  std::vector<std::pair<uint64_t, Command>> commands;
  bool reset_prefixes = false;
  {
    absl::MutexLock lock(&mutex_);
    incoming.swap(incoming_);
    commands.swap(commands_);
    std::swap(reset_prefixes, reset_prefixes_);
  }
  // Nothing ran when it was asked for, and what came since is among the incoming.
  if (reset_prefixes) blocks_.ClearPrefixes();
  for (std::unique_ptr<RunningRequest>& request : incoming) {
    for (const auto& sequence : request->sequences) scheduler_.Add(sequence.get());
    if (request->deadline != absl::InfiniteFuture())
      deadlines_.insert({request->deadline, request->id});
    requests_[request->id] = std::move(request);
  }
  for (const auto& [id, command] : commands) {
    if (const auto it = requests_.find(id); it != requests_.end()) Obey(*it->second, command);
  }
}

void Engine::Obey(RunningRequest& request, Command command) {
  if (command == Command::kCancel) return End(request, FinishReason::kAbort);
  const bool was_paused = request.is_paused();
  const bool by_client = command == Command::kPause || command == Command::kResume;
  (by_client ? request.paused_by_client : request.paused_for_reader) =
      command == Command::kPause || command == Command::kHold;
  const bool pause = request.is_paused();
  if (was_paused == pause) return;
  TraceMark(trace_.get(), pause ? "paused" : "resumed", request.id);
  for (const auto& sequence : request.sequences) {
    if (sequence->finished) continue;
    if (pause) {
      scheduler_.Pause(sequence.get());
      ++num_paused_;
    } else {
      scheduler_.Resume(sequence.get());
      --num_paused_;
    }
  }
}

void Engine::End(RunningRequest& request, FinishReason reason, const absl::Status& status) {
  if (request.is_paused()) {
    request.paused_by_client = request.paused_for_reader = false;
    for (const auto& sequence : request.sequences) num_paused_ -= sequence->finished ? 0 : 1;
  }
  request.decoding->End(request, reason, status, decoding_);
}

void Engine::EndOverdue() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= absl::Now()) {
    const uint64_t id = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    const auto it = requests_.find(id);
    if (it == requests_.end()) continue;
    End(*it->second, FinishReason::kAbort,
        absl::DeadlineExceededError(
            absl::StrCat("not done within timeout_ms ", *it->second->request.timeout_ms)));
  }
}

void Engine::ForgetEnded() {
  for (const uint64_t id : ended_) {
    const auto it = requests_.find(id);
    deadlines_.erase({it->second->deadline, id});
    requests_.erase(it);
  }
  ended_.clear();
}

void Engine::UpdateLoad() {
  EngineLoad load;
  load.running = static_cast<int64_t>(scheduler_.num_running());
  load.waiting = static_cast<int64_t>(scheduler_.num_waiting());
  load.deferred = num_paused_;
  load.kv_cache_usage = blocks_.usage();
  metrics_->SetLoad(load);
  const int64_t evicted = blocks_.num_evicted();
  metrics_->prefix_cache_evictions.Increment(static_cast<double>(evicted - num_evicted_));
  num_evicted_ = evicted;
  const FeatureCache::Usage& usage = runner_.media().usage();
  metrics_->mm_cache_queries.Increment(static_cast<double>(usage.queries - media_usage_.queries));
  metrics_->mm_cache_hits.Increment(static_cast<double>(usage.hits - media_usage_.hits));
  media_usage_ = usage;
  const int64_t calls = runner_.media().num_calls();
  metrics_->encoder_calls.Increment(static_cast<double>(calls - num_encoder_calls_));
  num_encoder_calls_ = calls;
}

}  // namespace keel

#include "core/engine/engine.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace keel {
namespace {

BlockAllocator::Options BlockOptions(const EngineOptions& options, const Model& model) {
  BlockAllocator::Options out;
  out.block_size = static_cast<int32_t>(options.block_size);
  // What a prefix left in a state is not kept.
  out.prefix_caching = options.enable_prefix_caching && model.num_state_slots == 0;
  out.groups = model.cache_groups;
  out.num_state_slots = model.num_state_slots;
  return out;
}

SchedulerOptions SchedulerOptionsOf(const EngineOptions& options) {
  SchedulerOptions out;
  out.max_num_seqs = static_cast<int32_t>(options.max_num_seqs);
  out.max_num_batched_tokens = static_cast<int32_t>(options.max_num_batched_tokens);
  out.max_prefill_beside_decodes = static_cast<int32_t>(options.max_prefill_beside_decodes);
  return out;
}

MetricsConfig MetricsConfigOf(const EngineOptions& options, const Model& model) {
  MetricsConfig config;
  config.max_model_len = model.max_model_len;
  config.num_speculative_tokens = static_cast<int>(options.spec_tokens());
  const int64_t num_blocks = model.cache_groups.empty() ? 0 : model.cache_groups[0].num_blocks;
  config.cache_info = {
      {"block_size", absl::StrCat(options.block_size)},
      {"num_gpu_blocks", absl::StrCat(num_blocks)},
      {"cache_dtype", model.dtype},
      {"enable_prefix_caching", BlockOptions(options, model).prefix_caching ? "True" : "False"},
      {"kv_cache_memory_bytes", absl::StrCat(model.kv_cache_bytes)}};
  config.model_info = {{"architecture", model.architecture},
                       {"model_impl", options.model_impl},
                       {"plugin", model.plugin},
                       {"attention_implementation", model.attention},
                       {"exec", options.exec},
                       {"dtype", model.dtype}};
  return config;
}

PromptLookupOptions DraftOptions(const EngineOptions& options) {
  PromptLookupOptions out;
  out.num_tokens = static_cast<int32_t>(options.spec_tokens());
  out.max_ngram = static_cast<int32_t>(options.prompt_lookup_max);
  out.min_ngram = static_cast<int32_t>(options.prompt_lookup_min);
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  KEEL_ASSIGN_OR_RETURN(Model model, LoadModel(options));
  return Serve(options, std::move(model));
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Serve(const EngineOptions& options, Model model) {
  std::unique_ptr<Trace> trace;
  if (!options.trace.empty()) {
    KEEL_ASSIGN_OR_RETURN(trace, Trace::Open(JoinPath(options.base_dir, options.trace)));
  }
  if (options.spec_tokens() > 0 && model.num_state_slots > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--spec-method is ngram, but ", model.architecture,
        " has recurrent layers: what a wrong guess did to their state can't be undone"));
  }
  return std::unique_ptr<Engine>(new Engine(options, std::move(model), std::move(trace)));
}

Engine::Engine(const EngineOptions& options, Model model, std::unique_ptr<Trace> trace)
    : options_(options),
      trace_(std::move(trace)),
      model_(std::move(model)),
      metrics_(std::make_unique<Metrics>(model_.name, MetricsConfigOf(options, model_))),
      preparer_(model_, DraftOptions(options), *metrics_),
      blocks_(BlockOptions(options, model_)),
      scheduler_(SchedulerOptionsOf(options), blocks_),
      runner_(*model_.executor, model_.vocab_size),
      loop_(EngineLoop::Shared()),
      outputs_(*metrics_, trace_.get(),
               {.no_text = [this](uint64_t request) { Cancel(request).IgnoreError(); },
                .last =
                    [this](uint64_t request) {
                      absl::MutexLock lock(&mutex_);
                      known_.erase(request);
                    }}) {
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
    if (stopping_) return absl::UnavailableError("the engine is shutting down");
    const int64_t limit = options_.max_queued_requests + options_.max_num_seqs;
    if (static_cast<int64_t>(known_.size()) >= limit) {
      metrics_->rejected_queue_full.Increment();
      return absl::ResourceExhaustedError(
          absl::StrCat(known_.size(), " requests are running or waiting, the limit is ", limit,
                       " (--max-queued-requests and --max-num-seqs); try again later"));
    }
    running->id = running->outputs->request = running->sequences[0]->id = id = next_id_++;
    known_.insert(id);
    TraceBegin(trace_.get(), "request", id, {{"prompt_tokens", running->prompt->size()}});
    incoming_.push_back(std::move(running));
  }
  loop_->Wake();
  return id;
}

absl::Status Engine::Tell(uint64_t id, Command command) {
  {
    absl::MutexLock lock(&mutex_);
    if (!known_.contains(id))
      return absl::NotFoundError(absl::StrCat("request ", id, " has ended or never was"));
    commands_.push_back({id, command});
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
  return known_.size();
}

std::string Engine::info_json() const {
  boost::json::object info;
  info["model"] = model_.name;
  info["architecture"] = model_.architecture;
  info["model_impl"] = options_.model_impl;
  info["plugin"] = model_.plugin;
  info["attention_implementation"] = model_.attention;
  info["attention_reason"] = model_.attention_reason;
  info["exec"] = options_.exec;
  info["dtype"] = model_.dtype;
  info["max_model_len"] = model_.max_model_len;
  info["vocab_size"] = model_.vocab_size;
  boost::json::array groups;
  for (const CacheGroup& group : model_.cache_groups) {
    groups.push_back(boost::json::object{
        {"blocks", group.num_blocks}, {"window", group.window}, {"chunk", group.chunk}});
  }
  info["kv_cache_blocks"] = model_.cache_groups.empty() ? 0 : model_.cache_groups[0].num_blocks;
  info["kv_cache_groups"] = std::move(groups);
  info["kv_cache_bytes"] = model_.kv_cache_bytes;
  info["state_slots"] = model_.num_state_slots;
  info["block_size"] = options_.block_size;
  info["tensor_parallel_size"] = options_.tensor_parallel_size;
  info["eos_token_ids"] =
      boost::json::array(model_.eos_token_ids.begin(), model_.eos_token_ids.end());
  info["has_chat_template"] = model_.text.chat_template != nullptr;
  info["warnings"] = boost::json::array(model_.warnings.begin(), model_.warnings.end());
  return boost::json::serialize(info);
}

bool Engine::RunOnce() {
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
  {
    absl::MutexLock lock(&mutex_);
    incoming.swap(incoming_);
    commands.swap(commands_);
  }
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
  const bool pause = command == Command::kPause;
  if (request.paused == pause) return;
  request.paused = pause;
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
  if (std::exchange(request.paused, false)) {
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
}

}  // namespace keel

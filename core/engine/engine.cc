#include "core/engine/engine.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"

namespace keel {
namespace {

SchedulerOptions SchedulerOptionsOf(const EngineOptions& options) {
  return {static_cast<int32_t>(options.max_num_seqs),
          static_cast<int32_t>(options.max_num_batched_tokens)};
}

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

RunningSequence& Running(Sequence* sequence) { return *static_cast<RunningSequence*>(sequence); }

// The rows of a step whose logits somebody wants, in order; `of` says whose they are.
struct LogitRows {
  struct Row {
    RunningSequence* sequence;
    int32_t position;  // of the token whose row it is
    bool of_prompt;    // it gives the log-probability of the prompt's next token
    bool samples;      // the next token is drawn from it
  };
  std::vector<Row> of;
};

Batch MakeBatch(const Step& step, LogitRows& rows) {
  Batch batch;
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = Running(item.sequence);
    const auto first = static_cast<int32_t>(batch.token_ids.size()) - sequence.num_computed;
    const int32_t end = sequence.num_computed + item.num_tokens;
    batch.token_ids.insert(batch.token_ids.end(), sequence.tokens.begin() + sequence.num_computed,
                           sequence.tokens.begin() + end);
    batch.sequences.push_back({sequence.num_computed, item.num_tokens, -1, sequence.blocks});
    for (int32_t position = sequence.num_computed; position < end; ++position) {
      const bool samples = item.reaches_end && position == end - 1;
      const bool of_prompt = sequence.wants_prompt_logits &&
                             position >= sequence.num_prompt_logprobs &&
                             position + 1 < sequence.prompt_tokens;
      if (!samples && !of_prompt) continue;
      batch.logit_rows.push_back(first + position);
      rows.of.push_back({&sequence, position, of_prompt, samples});
    }
  }
  return batch;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  KEEL_ASSIGN_OR_RETURN(Model model, LoadModel(options));
  return std::unique_ptr<Engine>(new Engine(options, std::move(model)));
}

Engine::Engine(const EngineOptions& options, Model model)
    : options_(options),
      model_(std::move(model)),
      metrics_(std::make_unique<Metrics>(model_.name)),
      pool_(model_.num_blocks, static_cast<int32_t>(options.block_size),
            options.enable_prefix_caching),
      scheduler_(SchedulerOptionsOf(options), pool_),
      thread_([this] { Loop(); }) {}

Engine::~Engine() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

absl::StatusOr<uint64_t> Engine::Submit(const Request& request, OutputCallback callback) {
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<RunningRequest> running,
                        Prepare(request, std::move(callback)));
  running->arrival = absl::Now();
  absl::MutexLock lock(&mutex_);
  if (stopping_) return absl::UnavailableError("the engine is shutting down");
  if (static_cast<int64_t>(known_.size()) >= options_.max_queued_requests + options_.max_num_seqs) {
    return absl::ResourceExhaustedError(
        absl::StrCat(known_.size(), " requests are running or waiting, the limit is ",
                     options_.max_queued_requests + options_.max_num_seqs,
                     " (--max-queued-requests and --max-num-seqs); try again later"));
  }
  const uint64_t id = next_id_++;
  running->id = id;
  known_[id] = true;
  incoming_.push_back(std::move(running));
  return id;
}

absl::Status Engine::Cancel(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  if (!known_.contains(id))
    return absl::NotFoundError(absl::StrCat("request ", id, " has ended or never was"));
  cancelled_.push_back(id);
  return absl::OkStatus();
}

absl::Status Engine::Check() const {
  absl::MutexLock lock(&mutex_);
  return stopping_ ? absl::UnavailableError("the engine is shutting down") : absl::OkStatus();
}

std::string Engine::info_json() const {
  boost::json::object info;
  info["model"] = model_.name;
  info["architecture"] = model_.architecture;
  info["model_impl"] = options_.model_impl;
  info["plugin"] = model_.plugin;
  info["attention_implementation"] = model_.attention;
  info["exec"] = options_.exec;
  info["dtype"] = model_.dtype;
  info["max_model_len"] = model_.max_model_len;
  info["vocab_size"] = model_.vocab_size;
  info["kv_cache_blocks"] = model_.num_blocks;
  info["kv_cache_bytes"] = model_.kv_cache_bytes;
  info["block_size"] = options_.block_size;
  info["tensor_parallel_size"] = options_.tensor_parallel_size;
  info["eos_token_ids"] =
      boost::json::array(model_.eos_token_ids.begin(), model_.eos_token_ids.end());
  info["has_chat_template"] = model_.text.chat_template != nullptr;
  info["warnings"] = boost::json::array(model_.warnings.begin(), model_.warnings.end());
  return boost::json::serialize(info);
}

void Engine::Loop() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !incoming_.empty() || !cancelled_.empty();
  };
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (requests_.empty()) mutex_.Await(absl::Condition(&has_work));
      if (stopping_) break;
    }
    TakeIncoming();
    if (!requests_.empty()) RunStep();
  }
  TakeIncoming();
  while (!requests_.empty()) End(*requests_.begin()->second, FinishReason::kAbort);
}

void Engine::TakeIncoming() {
  std::vector<std::unique_ptr<RunningRequest>> incoming;
  std::vector<uint64_t> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    incoming.swap(incoming_);
    cancelled.swap(cancelled_);
  }
  for (std::unique_ptr<RunningRequest>& request : incoming) {
    for (const auto& sequence : request->sequences) scheduler_.Add(sequence.get());
    requests_[request->id] = std::move(request);
  }
  for (const uint64_t id : cancelled) {
    if (const auto it = requests_.find(id); it != requests_.end())
      End(*it->second, FinishReason::kAbort);
  }
  if (!cancelled.empty()) UpdateGauges();  // there may be no step after this
}

void Engine::RunStep() {
  const Step step = scheduler_.Schedule();
  metrics_->num_preemptions.Increment(step.num_preempted);
  if (step.empty()) return;
  if (const absl::Status status = RunModel(step); !status.ok()) {
    // Whoever was in this step can't go on: its cache is in doubt. The others do.
    std::vector<uint64_t> failed;
    for (const Step::Item& item : step.items) failed.push_back(Running(item.sequence).request->id);
    for (const uint64_t id : failed) {
      if (const auto it = requests_.find(id); it != requests_.end())
        End(*it->second, FinishReason::kError, status);
    }
  }
  metrics_->iteration_tokens.Observe(step.num_tokens);
  UpdateGauges();
}

absl::Status Engine::RunModel(const Step& step) {
  LogitRows rows;
  const Batch batch = MakeBatch(step, rows);
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = Running(item.sequence);
    if (sequence.num_computed > sequence.cached_tokens || sequence.num_generated() > 0) continue;
    metrics_->prefix_cache_queries.Increment(sequence.prompt_tokens);
    metrics_->prefix_cache_hits.Increment(sequence.cached_tokens);
  }
  KEEL_ASSIGN_OR_RETURN(const at::Tensor logits, model_.executor->Step(batch));
  scheduler_.Advance(step);
  float* data = logits.data_ptr<float>();
  for (size_t i = 0; i < rows.of.size(); ++i) {
    const LogitRows::Row& row = rows.of[i];
    if (row.sequence->finished) continue;
    const absl::Span<float> values(data + static_cast<int64_t>(i) * model_.vocab_size,
                                   static_cast<size_t>(model_.vocab_size));
    if (row.of_prompt) {
      ++row.sequence->num_prompt_logprobs;
      row.sequence->pending.prompt_logprobs.push_back(
          ReportLogprobs(values, row.sequence->tokens[row.position + 1],
                         *row.sequence->request->request.sampling.prompt_logprobs));
    }
    if (row.samples) Take(*row.sequence, row.sequence->sampler.Sample(values));
  }
  return absl::OkStatus();
}

void Engine::Take(RunningSequence& sequence, const SampledToken& token) {
  RunningRequest& request = *sequence.request;
  const absl::Time now = absl::Now();
  if (request.first_token == absl::Time()) {
    request.first_token = now;
    metrics_->time_to_first_token_seconds.Observe(absl::ToDoubleSeconds(now - request.arrival));
    metrics_->prompt_tokens.Increment(sequence.prompt_tokens);
  } else {
    metrics_->inter_token_latency_seconds.Observe(absl::ToDoubleSeconds(now - request.last_token));
  }
  request.last_token = now;
  metrics_->generation_tokens.Increment();

  sequence.tokens.push_back(token.token);
  Output& pending = sequence.pending;
  pending.tokens.push_back(token.token);
  if (request.request.sampling.logprobs.has_value()) pending.logprobs.push_back(token);

  const std::vector<int32_t>& ends = request.end_token_ids;
  if (std::find(ends.begin(), ends.end(), token.token) != ends.end()) {
    const std::vector<int32_t>& asked = request.request.stop_token_ids;
    const bool was_asked = std::find(asked.begin(), asked.end(), token.token) != asked.end();
    return Finish(sequence, FinishReason::kStop, was_asked ? absl::StrCat(token.token) : "");
  }
  absl::StatusOr<std::string> text = sequence.detokenizer.Add(token.token);
  if (!text.ok()) return Finish(sequence, FinishReason::kError, "", text.status());
  pending.text += sequence.stop.Add(*text);
  if (sequence.stop.matched().has_value())
    return Finish(sequence, FinishReason::kStop, *sequence.stop.matched());
  if (sequence.num_generated() >= request.max_tokens)
    return Finish(sequence, FinishReason::kLength, "");
  const bool has_news = !pending.text.empty() || !pending.prompt_logprobs.empty();
  if (!request.request.stream || !has_news) return;
  Output out = std::exchange(pending, Output());
  out.request = request.id;
  out.index = sequence.index;
  out.prompt_tokens = request.prompt;
  out.cached_tokens = sequence.cached_tokens;
  request.callback(std::move(out));
}

void Engine::Finish(RunningSequence& sequence, FinishReason reason, std::string stop_reason,
                    absl::Status status) {
  if (sequence.finished) return;
  sequence.finished = true;
  scheduler_.Remove(&sequence);
  RunningRequest& request = *sequence.request;
  Output out = std::move(sequence.pending);
  if (!sequence.stop.matched().has_value()) {
    // What detokenizer and stop strings held back: the text ends here.
    if (absl::StatusOr<std::string> rest = sequence.detokenizer.Flush(); rest.ok())
      out.text += sequence.stop.Add(*rest);
    if (!sequence.stop.matched().has_value()) out.text += sequence.stop.Flush();
  }
  out.request = request.id;
  out.index = sequence.index;
  out.finish_reason = reason;
  out.stop_reason = std::move(stop_reason);
  out.status = std::move(status);
  out.prompt_tokens = request.prompt;
  out.cached_tokens = sequence.cached_tokens;
  out.is_last = --request.unfinished == 0;
  metrics_->request_success(FinishReasonName(reason)).Increment();
  if (!out.is_last) return request.callback(std::move(out));

  metrics_->e2e_request_latency_seconds.Observe(
      absl::ToDoubleSeconds(absl::Now() - request.arrival));
  const uint64_t id = request.id;
  {
    absl::MutexLock lock(&mutex_);
    known_.erase(id);
  }
  request.callback(std::move(out));
}

void Engine::End(RunningRequest& request, FinishReason reason, const absl::Status& status) {
  const uint64_t id = request.id;
  for (const auto& sequence : request.sequences) Finish(*sequence, reason, "", status);
  requests_.erase(id);
}

void Engine::UpdateGauges() {
  // Requests whose last sequence ended in this step go here, when nothing points at them any more.
  std::erase_if(requests_, [](const auto& entry) { return entry.second->unfinished == 0; });
  metrics_->num_requests_running.Set(static_cast<double>(scheduler_.num_running()));
  metrics_->num_requests_waiting.Set(static_cast<double>(scheduler_.num_waiting()));
  metrics_->kv_cache_usage_perc.Set(1 - static_cast<double>(pool_.num_available()) /
                                            pool_.num_blocks());
}

}  // namespace keel

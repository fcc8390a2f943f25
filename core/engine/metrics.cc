#include "core/engine/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace keel {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

constexpr std::array<const char*, 4> kFinishedReasons = {"stop", "length", "abort", "error"};

// 1, 2, 5, 10, 20, 50 ... up to `max`.
std::vector<double> OneTwoFive(int64_t max) {
  std::vector<double> buckets;
  for (int64_t power = 1; power <= max; power *= 10) {
    for (const int64_t digit : {1, 2, 5}) {
      if (digit * power <= max) buckets.push_back(static_cast<double>(digit * power));
    }
  }
  return buckets;
}

// The metrics of one engine as they are put down for the serializer.
class Exposition {
 public:
  explicit Exposition(const std::string& model_name)
      : common_{{"model_name", model_name}, {"engine", "0"}} {}

  void Family(const char* name, MetricType type, const char* help) {
    families_.push_back({name, help, type, {}});
  }
  // A sample of the family before.
  void Sample(ClientMetric metric, std::vector<ClientMetric::Label> labels = {}) {
    metric.label = common_;
    metric.label.insert(metric.label.end(), labels.begin(), labels.end());
    families_.back().metric.push_back(std::move(metric));
  }

  // A family of one sample.
  template <typename Metric>
  void operator()(const char* name, const Metric& metric, const char* help) {
    Family(name, Metric::metric_type, help);
    Sample(metric.Collect());
  }
  // One that is always 1 and says something by its labels.
  void Info(const char* name, const MetricsConfig::Labels& labels, const char* help) {
    if (labels.empty()) return;
    Family(name, MetricType::Gauge, help);
    ClientMetric one;
    one.gauge.value = 1;
    std::vector<ClientMetric::Label> own;
    for (const auto& [label, value] : labels) own.push_back({label, value});
    Sample(std::move(one), std::move(own));
  }

  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  const std::vector<ClientMetric::Label> common_;
  std::vector<prometheus::MetricFamily> families_;
};

void ObserveBetween(prometheus::Histogram& histogram, absl::Time begin, absl::Time end) {
  if (begin == absl::Time() || end == absl::Time()) return;
  histogram.Observe(absl::ToDoubleSeconds(end - begin));
}

}  // namespace

Metrics::Metrics(const std::string& model_name, const MetricsConfig& config)
    : model_name_(model_name),
      config_(config),
      token_counts_(OneTwoFive(config.max_model_len)),
      accepted_at_(static_cast<size_t>(std::max(config.num_speculative_tokens, 0))) {}

void Metrics::SetLoad(const EngineLoad& load) {
  num_requests_running.Set(static_cast<double>(load.running));
  num_requests_waiting.Set(static_cast<double>(load.waiting + load.deferred));
  waiting_for_capacity.Set(static_cast<double>(load.waiting));
  waiting_deferred.Set(static_cast<double>(load.deferred));
  kv_cache_usage_perc.Set(load.kv_cache_usage);
}

void Metrics::StepRan(int64_t tokens, const StepSeconds& seconds) {
  steps.Increment();
  iteration_tokens.Observe(static_cast<double>(tokens));
  PartsRan(seconds);
}

void Metrics::PartsRan(const StepSeconds& seconds) {
  for (size_t i = 0; i < seconds.size(); ++i) in_part_[i].Increment(seconds[i]);
}

void Metrics::PromptLookedUp(int64_t prompt_tokens, int64_t cached_tokens) {
  prefix_cache_queries.Increment(static_cast<double>(prompt_tokens));
  prefix_cache_hits.Increment(static_cast<double>(cached_tokens));
}

void Metrics::PromptDone(int64_t tokens, int64_t cached_tokens) {
  prompt_tokens.Increment(static_cast<double>(tokens));
  prompt_tokens_cached.Increment(static_cast<double>(cached_tokens));
  prompt_tokens_computed.Increment(static_cast<double>(tokens - cached_tokens));
}

void Metrics::DraftVerified(int drafted, int accepted) {
  spec_decode_num_drafts.Increment();
  spec_decode_num_draft_tokens.Increment(drafted);
  spec_decode_num_accepted_tokens.Increment(accepted);
  const size_t end = std::min(static_cast<size_t>(std::max(accepted, 0)), accepted_at_.size());
  for (size_t i = 0; i < end; ++i) accepted_at_[i].Increment();
}

void Metrics::SequenceFinished(const FinishedSequence& sequence, absl::string_view reason) {
  request_success(reason).Increment();
  ObserveBetween(e2e_request_latency_seconds, sequence.arrival, sequence.finished);
  ObserveBetween(request_queue_time_seconds, sequence.arrival, sequence.scheduled);
  ObserveBetween(request_prefill_time_seconds, sequence.scheduled, sequence.first_token);
  ObserveBetween(request_decode_time_seconds, sequence.first_token, sequence.last_token);
  ObserveBetween(request_inference_time_seconds, sequence.scheduled, sequence.last_token);
  if (sequence.generated_tokens > 1) {
    request_time_per_output_token_seconds.Observe(
        absl::ToDoubleSeconds(sequence.last_token - sequence.first_token) /
        static_cast<double>(sequence.generated_tokens - 1));
  }
  request_prompt_tokens.Observe(static_cast<double>(sequence.prompt_tokens));
  request_generation_tokens.Observe(static_cast<double>(sequence.generated_tokens));
  request_params_max_tokens.Observe(static_cast<double>(sequence.max_tokens));
  request_num_preemptions.Observe(static_cast<double>(sequence.num_preemptions));
  request_prefill_kv_computed_tokens.Observe(
      static_cast<double>(sequence.prompt_tokens - sequence.cached_tokens));
}

void Metrics::RequestFinished(int64_t n, int64_t max_generated_tokens) {
  request_params_n.Observe(static_cast<double>(n));
  request_max_num_generation_tokens.Observe(static_cast<double>(max_generated_tokens));
}

prometheus::Counter& Metrics::request_success(absl::string_view reason) {
  const auto at = std::find(kFinishedReasons.begin(), kFinishedReasons.end(), reason);
  // A reason that nobody foresaw is an error.
  return finished_[std::min<size_t>(at - kFinishedReasons.begin(), finished_.size() - 1)];
}

// The list of all metrics. The serializer adds nothing, so counters carry their _total.
std::string Metrics::Text() const {
  Exposition add(model_name_);

  add("vllm:num_requests_running", num_requests_running, "Sequences in the running batch");
  add("vllm:num_requests_waiting", num_requests_waiting, "Sequences that wait to be scheduled");
  add.Family("vllm:num_requests_waiting_by_reason", MetricType::Gauge,
             "Waiting sequences: for room in a step or the cache (capacity), or for their "
             "reader (deferred)");
  add.Sample(waiting_for_capacity.Collect(), {{"reason", "capacity"}});
  add.Sample(waiting_deferred.Collect(), {{"reason", "deferred"}});
  add("vllm:kv_cache_usage_perc", kv_cache_usage_perc,
      "Share of KV cache blocks in use; 1 is all of them");
  add.Info("vllm:cache_config_info", config_.cache_info,
           "Always 1; its labels describe the KV cache");

  add("vllm:num_preemptions_total", num_preemptions,
      "Times that a sequence lost its blocks to another");
  add("vllm:prompt_tokens_total", prompt_tokens, "Prompt tokens processed");
  add.Family("vllm:prompt_tokens_by_source_total", MetricType::Counter,
             "Prompt tokens processed: computed (local_compute) or from the prefix cache "
             "(local_cache_hit)");
  add.Sample(prompt_tokens_computed.Collect(), {{"source", "local_compute"}});
  add.Sample(prompt_tokens_cached.Collect(), {{"source", "local_cache_hit"}});
  add("vllm:prompt_tokens_cached_total", prompt_tokens_cached,
      "Prompt tokens that came from the prefix cache");
  add.Family("vllm:prompt_tokens_cached_by_source_total", MetricType::Counter,
             "Prompt tokens that were not computed, by where they came from: the prefix cache "
             "(local_cache_hit)");
  add.Sample(prompt_tokens_cached.Collect(), {{"source", "local_cache_hit"}});
  add("vllm:generation_tokens_total", generation_tokens, "Tokens generated");
  add("vllm:prefix_cache_queries_total", prefix_cache_queries,
      "Prompt tokens looked up in the prefix cache");
  add("vllm:prefix_cache_hits_total", prefix_cache_hits, "Prompt tokens found in the prefix cache");
  add("vllm:mm_cache_queries_total", mm_cache_queries,
      "Images, videos and sounds whose features a step needed");
  add("vllm:mm_cache_hits_total", mm_cache_hits,
      "Those of them that were not encoded, for their features were kept");
  add.Family("vllm:request_success_total", MetricType::Counter,
             "Sequences that ended: stop, length, abort or error");
  for (size_t i = 0; i < finished_.size(); ++i)
    add.Sample(finished_[i].Collect(), {{"finished_reason", kFinishedReasons[i]}});
  add.Family("vllm:admission_rejections_total", MetricType::Counter,
             "Requests refused because too many wait (max_num_queued_reqs)");
  add.Sample(rejected_queue_full.Collect(), {{"reason", "max_num_queued_reqs"}});
  add("vllm:corrupted_requests_total", corrupted_requests,
      "Requests whose logits had values that are no numbers");

  if (!accepted_at_.empty()) {
    add("vllm:spec_decode_num_drafts_total", spec_decode_num_drafts, "Drafts verified");
    add("vllm:spec_decode_num_draft_tokens_total", spec_decode_num_draft_tokens,
        "Tokens of drafts");
    add("vllm:spec_decode_num_accepted_tokens_total", spec_decode_num_accepted_tokens,
        "Tokens of drafts that were accepted");
    add.Family("vllm:spec_decode_num_accepted_tokens_per_pos_total", MetricType::Counter,
               "Accepted tokens by their position in the draft");
    for (size_t i = 0; i < accepted_at_.size(); ++i)
      add.Sample(accepted_at_[i].Collect(), {{"position", absl::StrCat(i)}});
  }

  add("vllm:time_to_first_token_seconds", time_to_first_token_seconds,
      "From arrival to the first token");
  add("vllm:inter_token_latency_seconds", inter_token_latency_seconds,
      "Between two tokens of a sequence");
  add("vllm:request_time_per_output_token_seconds", request_time_per_output_token_seconds,
      "Mean time between the tokens of a sequence, after its first");
  add("vllm:e2e_request_latency_seconds", e2e_request_latency_seconds, "From arrival to the end");
  add("vllm:request_queue_time_seconds", request_queue_time_seconds,
      "From arrival to the first step that it is part of");
  add("vllm:request_inference_time_seconds", request_inference_time_seconds,
      "From the first step to the last token");
  add("vllm:request_prefill_time_seconds", request_prefill_time_seconds,
      "From the first step to the first token");
  add("vllm:request_decode_time_seconds", request_decode_time_seconds,
      "From the first token to the last");
  add("vllm:request_prompt_tokens", request_prompt_tokens, "Tokens of a prompt");
  add("vllm:request_generation_tokens", request_generation_tokens,
      "Tokens generated for a sequence");
  add("vllm:request_max_num_generation_tokens", request_max_num_generation_tokens,
      "Tokens of the longest of a request's n sequences");
  add("vllm:request_params_n", request_params_n, "The parameter n of requests");
  add("vllm:request_params_max_tokens", request_params_max_tokens,
      "The parameter max_tokens of requests, or the rest of the context");
  add("vllm:request_num_preemptions", request_num_preemptions,
      "Times that a sequence was preempted");
  add("vllm:request_prefill_kv_computed_tokens", request_prefill_kv_computed_tokens,
      "Prompt tokens that were computed, not taken from the prefix cache");
  add("vllm:iteration_tokens_total", iteration_tokens, "Tokens of a step");

  add.Info("keel:model_info", config_.model_info,
           "Always 1; its labels say which implementation runs the model");
  add("keel:reasoning_tokens_total", reasoning_tokens,
      "Tokens generated that are reasoning, where the model's can be told apart");
  add("keel:steps_total", steps, "Steps run");
  add.Family("keel:step_seconds_total", MetricType::Counter,
             "Time in the parts of steps: encode (of media), schedule, prepare, forward, mask, "
             "sample, output");
  for (size_t i = 0; i < in_part_.size(); ++i)
    add.Sample(in_part_[i].Collect(), {{"part", kStepPartNames[i]}});
  add("keel:encoder_calls_total", encoder_calls,
      "Calls of encoders, each for one image, video or sound, or for several");
  add("keel:engine_loop_idle_seconds_total", engine_loop_idle_seconds,
      "Time in which there was nothing to do");
  add("keel:output_seconds_total", output_seconds,
      "Time in which tokens became text and outputs were given, beside the steps");
  add("keel:prefix_cache_evictions_total", prefix_cache_evictions,
      "Blocks that lost their content to another sequence");
  add("keel:grammar_compile_seconds", grammar_compile_seconds,
      "Time to compile a grammar of structured output");
  return add.Text();
}

}  // namespace keel

#include "core/engine/metrics.h"

#include <prometheus/text_serializer.h>

namespace keel {

// Names, help and buckets: vLLM's v1/metrics/loggers.py. The serializer adds nothing, so counters carry their _total.
Metrics::Metrics(const std::string& model_name)
    : labels_{{"model_name", model_name}, {"engine", "0"}},
      num_requests_running(
          MakeGauge("vllm:num_requests_running", "Sequences that are in the running batch.")),
      num_requests_waiting(
          MakeGauge("vllm:num_requests_waiting", "Sequences that wait to be scheduled.")),
      kv_cache_usage_perc(MakeGauge("vllm:kv_cache_usage_perc",
                                    "Share of KV cache blocks in use; 1 is all of them.")),
      num_preemptions(MakeCounter("vllm:num_preemptions_total",
                                  "Times that a sequence lost its blocks to another.")),
      prompt_tokens(MakeCounter("vllm:prompt_tokens_total", "Prompt tokens processed.")),
      generation_tokens(MakeCounter("vllm:generation_tokens_total", "Tokens generated.")),
      prefix_cache_queries(MakeCounter("vllm:prefix_cache_queries_total",
                                       "Prompt tokens looked up in the prefix cache.")),
      prefix_cache_hits(
          MakeCounter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.")),
      time_to_first_token_seconds(
          MakeHistogram("vllm:time_to_first_token_seconds", "Time to the first token in seconds.",
                        {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
                         0.75,  1,     2.5,  5,    7.5,  10,   20,   40,  80,   160})),
      inter_token_latency_seconds(MakeHistogram("vllm:inter_token_latency_seconds",
                                                "Time between two tokens in seconds.",
                                                {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4,
                                                 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80})),
      e2e_request_latency_seconds(MakeHistogram(
          "vllm:e2e_request_latency_seconds", "Time from arrival to the last token in seconds.",
          {0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960})),
      iteration_tokens(
          MakeHistogram("vllm:iteration_tokens_total", "Tokens of a step.",
                        {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384})) {
  auto& family = prometheus::BuildCounter()
                     .Name("vllm:request_success_total")
                     .Help("Requests that ended, by reason.")
                     .Labels(labels_)
                     .Register(registry_);
  for (const char* reason : {"stop", "length", "abort", "error"})
    finished_[reason] = &family.Add({{"finished_reason", reason}});
}

prometheus::Counter& Metrics::MakeCounter(const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Labels(labels_).Register(registry_).Add(
      {});
}

prometheus::Gauge& Metrics::MakeGauge(const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Labels(labels_).Register(registry_).Add({});
}

prometheus::Histogram& Metrics::MakeHistogram(const char* name, const char* help,
                                              prometheus::Histogram::BucketBoundaries buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Labels(labels_).Register(registry_).Add(
      {}, std::move(buckets));
}

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

}  // namespace keel

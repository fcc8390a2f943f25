// The engine's counters, under vLLM's names, in Prometheus' text form.
#ifndef KEEL_CORE_ENGINE_METRICS_H_
#define KEEL_CORE_ENGINE_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <string>

namespace keel {

// Thread-safe.
class Metrics {
 public:
  explicit Metrics(const std::string& model_name);

  std::string Text() const;

  // By finished reason: "stop", "length", "abort", "error".
  prometheus::Counter& request_success(const std::string& reason) { return *finished_.at(reason); }

 private:
  prometheus::Registry registry_;
  const std::map<std::string, std::string> labels_;
  std::map<std::string, prometheus::Counter*> finished_;

  prometheus::Counter& MakeCounter(const char* name, const char* help);
  prometheus::Gauge& MakeGauge(const char* name, const char* help);
  prometheus::Histogram& MakeHistogram(const char* name, const char* help,
                                       prometheus::Histogram::BucketBoundaries buckets);

 public:
  prometheus::Gauge &num_requests_running, &num_requests_waiting, &kv_cache_usage_perc;
  prometheus::Counter &num_preemptions, &prompt_tokens, &generation_tokens, &prefix_cache_queries,
      &prefix_cache_hits;
  prometheus::Histogram &time_to_first_token_seconds, &inter_token_latency_seconds,
      &e2e_request_latency_seconds, &iteration_tokens;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_METRICS_H_

// Metrics under the names that other servers give them, for dashboards that were made for those.
#ifndef KEEL_APPS_SERVER_METRICS_DIALECT_H_
#define KEEL_APPS_SERVER_METRICS_DIALECT_H_

#include <span>
#include <string>
#include <string_view>

namespace keel::apps {

enum class MetricsDialect { kVllm, kSglang, kTgi };

// One metric by its names; "" where a server has none like it.
struct MetricNames {
  std::string_view vllm, sglang, tgi;
};
std::span<const MetricNames> AllMetricNames();

// `text`, in Prometheus' format and with vLLM's names, with those of `dialect`. What has no name there
// keeps its own; labels and buckets stay as they are.
std::string RenameMetrics(const std::string& text, MetricsDialect dialect);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_METRICS_DIALECT_H_

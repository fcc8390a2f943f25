// What the engine counted between two readings of its metrics.
#ifndef KEEL_APPS_BENCH_METRICS_DELTA_H_
#define KEEL_APPS_BENCH_METRICS_DELTA_H_

#include <map>
#include <string>
#include <string_view>

#include "boost/json/object.hpp"

namespace keel::apps {

// Counters, and the sums and counts of histograms, by name: "vllm:generation_tokens_total". Labels
// follow the name, {finished_reason="stop"}, but those that say which engine it is.
using Counts = std::map<std::string, double>;

// Reads the metrics whose names begin with keel: or vllm: in Prometheus's text format. Gauges and
// buckets are left out, and so are lines that it cannot read.
Counts ReadCounts(std::string_view prometheus_text);
// What has grown, and by how much. A count that is new has grown from 0.
Counts Difference(const Counts& before, const Counts& after);
boost::json::object ToJson(const Counts& counts);
// A line for each count; those of a histogram with its mean.
std::string ToText(const Counts& counts);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_METRICS_DELTA_H_

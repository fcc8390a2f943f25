// Metrics of several engines as one text.
#ifndef KEEL_APPS_SERVER_METRICS_TEXT_H_
#define KEEL_APPS_SERVER_METRICS_TEXT_H_

#include <string>
#include <vector>

namespace keel::apps {

// Joins texts in Prometheus' format: the lines of one metric stand together, and what is said of a
// metric is said once. Samples are told apart by their own labels.
std::string JoinMetrics(const std::vector<std::string>& texts);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_METRICS_TEXT_H_

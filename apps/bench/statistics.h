// Summaries of measured values.
#ifndef KEEL_APPS_BENCH_STATISTICS_H_
#define KEEL_APPS_BENCH_STATISTICS_H_

#include <cstddef>
#include <vector>

namespace keel::apps {

// Of no values: all zero.
struct Summary {
  size_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};

// `percent` of the values are at most this one; between two values it is interpolated, as numpy's
// default is. `sorted` is ascending and not empty.
double Percentile(const std::vector<double>& sorted, double percent);
Summary Summarize(std::vector<double> values);
// 0 of no values.
double Median(std::vector<double> values);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_STATISTICS_H_

#include "apps/bench/metrics_delta.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kText[] = R"(# HELP vllm:steps_total Steps.
# TYPE vllm:steps_total counter
vllm:steps_total{model_name="a \"b\"}, c\\",engine="0"} 12
# TYPE keel:busy_seconds_total counter
keel:busy_seconds_total 1.5e-3 1700000000000
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 3
# TYPE vllm:ended_total counter
vllm:ended_total{model_name="m",finished_reason="stop"} 1
vllm:ended_total{model_name="m",finished_reason="length"} 2
# TYPE vllm:latency_seconds histogram
vllm:latency_seconds_count{engine="0"} 4
vllm:latency_seconds_sum{engine="0"} 2.5
vllm:latency_seconds_bucket{engine="0",le="0.1"} 1
vllm:latency_seconds_bucket{engine="0",le="+Inf"} 4
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 7
)";

TEST(ReadCountsTest, CountersAndHistogramsWithoutGaugesAndBuckets) {
  EXPECT_THAT(ReadCounts(kText),
              ElementsAre(Pair("keel:busy_seconds_total", 1.5e-3),
                          Pair("vllm:ended_total{finished_reason=\"length\"}", 2),
                          Pair("vllm:ended_total{finished_reason=\"stop\"}", 1),
                          Pair("vllm:latency_seconds_count", 4),
                          Pair("vllm:latency_seconds_sum", 2.5), Pair("vllm:steps_total", 12)));
}

TEST(ReadCountsTest, WhatCannotBeReadIsLeftOut) {
  EXPECT_THAT(ReadCounts(""), IsEmpty());
  EXPECT_THAT(
      ReadCounts("# TYPE vllm:a counter\n"
                 "vllm:a\nvllm:a x\nvllm:a NaN\nvllm:a{\nvllm:a{b\nvllm:a{b=\"\\\nvllm:a{b=\"c\n"
                 "vllm:untyped 4\n# TYPE\n# TYPE vllm:b\nvllm:b 1"),
      IsEmpty());
}

TEST(DifferenceTest, IsWhatHasGrown) {
  EXPECT_THAT(Difference({{"a", 1}, {"b", 2}, {"gone", 3}}, {{"a", 1}, {"b", 5}, {"c", 4}}),
              ElementsAre(Pair("b", 3), Pair("c", 4)));
}

TEST(ToTextTest, HistogramsHaveTheirMean) {
  const std::string text = ToText(ReadCounts(kText));
  EXPECT_THAT(text, HasSubstr("mean 0.625\n"));
  EXPECT_THAT(text, HasSubstr("vllm:steps_total "));
}

}  // namespace
}  // namespace keel::apps

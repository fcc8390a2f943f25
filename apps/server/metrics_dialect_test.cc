#include "apps/server/metrics_dialect.h"

#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

constexpr char kText[] =
    "# HELP vllm:e2e_request_latency_seconds From arrival to the end\n"
    "# TYPE vllm:e2e_request_latency_seconds histogram\n"
    "vllm:e2e_request_latency_seconds_bucket{model_name=\"vllm:num_requests_running\",le=\"0.3\"} "
    "1\n"
    "vllm:e2e_request_latency_seconds_sum{model_name=\"m\"} 2\n"
    "vllm:num_requests_waiting 3\n"
    "keel:steps_total 4\n";

TEST(MetricsDialectTest, NamesAreThoseOfTheServer) {
  EXPECT_EQ(RenameMetrics(kText, MetricsDialect::kVllm), kText);
  EXPECT_EQ(RenameMetrics(kText, MetricsDialect::kTgi),
            "# HELP tgi_request_duration From arrival to the end\n"
            "# TYPE tgi_request_duration histogram\n"
            "tgi_request_duration_bucket{model_name=\"vllm:num_requests_running\",le=\"0.3\"} 1\n"
            "tgi_request_duration_sum{model_name=\"m\"} 2\n"
            "tgi_queue_size 3\n"
            "keel:steps_total 4\n");
}

TEST(MetricsDialectTest, WhatHasNoNameThereKeepsItsOwn) {
  EXPECT_EQ(RenameMetrics("vllm:request_prompt_tokens_count 1\n", MetricsDialect::kSglang),
            "vllm:request_prompt_tokens_count 1\n");
  EXPECT_EQ(RenameMetrics("vllm:request_queue_time_seconds_count 1\n", MetricsDialect::kSglang),
            "sglang:queue_time_seconds_count 1\n");
}

}  // namespace
}  // namespace keel::apps

#include "core/engine/metrics.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::MatchesRegex;
using ::testing::Not;

// With everything that a metric may depend on.
MetricsConfig FullConfig() {
  MetricsConfig config;
  config.max_model_len = 2048;
  config.num_speculative_tokens = 2;
  config.cache_info = {{"block_size", "16"}, {"num_gpu_blocks", "100"}};
  config.model_info = {{"architecture", "LlamaForCausalLM"}, {"plugin", "in-tree"}};
  return config;
}

// Reads the text form as strictly as it is specified; what is wrong fails the test.
struct Exposition {
  struct Family {
    std::string name, type, help;
    std::vector<std::string> labels;  // beside model_name, engine and le
  };
  std::vector<Family> families;
  std::map<std::string, double> samples;  // by name and labels, without model_name and engine

  explicit Exposition(const Metrics& metrics) {
    for (const absl::string_view line : absl::StrSplit(metrics.Text(), '\n')) {
      if (absl::StartsWith(line, "# HELP ")) {
        ReadHelp(line.substr(7));
      } else if (absl::StartsWith(line, "# TYPE ")) {
        ReadType(line.substr(7));
      } else if (!line.empty()) {
        ReadSample(line);
      }
    }
  }

  void ReadHelp(absl::string_view line) {
    const std::pair<std::string, std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    for (const Family& family : families) EXPECT_NE(family.name, words.first) << "twice";
    EXPECT_THAT(words.first, MatchesRegex("[a-z]+:[a-z0-9_]+"));
    EXPECT_NE(words.second, "");
    families.push_back({words.first, "", words.second, {}});
  }

  void ReadType(absl::string_view line) {
    ASSERT_FALSE(families.empty());
    Family& family = families.back();
    const std::pair<std::string, std::string> words = absl::StrSplit(line, ' ');
    EXPECT_EQ(words.first, family.name);
    family.type = words.second;
    EXPECT_THAT(family.type, MatchesRegex("counter|gauge|histogram"));
    EXPECT_TRUE(family.type != "counter" || absl::EndsWith(family.name, "_total")) << family.name;
  }

  void ReadSample(absl::string_view line) {
    static constexpr absl::string_view kCommon = "{model_name=\"m\",engine=\"0\"";
    ASSERT_FALSE(families.empty());
    Family& family = families.back();
    const std::pair<absl::string_view, absl::string_view> sides =
        absl::StrSplit(line, absl::MaxSplits("} ", 1));
    double value = 0;
    EXPECT_TRUE(absl::SimpleAtod(sides.second, &value)) << line;
    absl::string_view name = sides.first.substr(0, sides.first.find('{'));
    absl::string_view labels = sides.first.substr(name.size());
    EXPECT_TRUE(absl::ConsumePrefix(&labels, kCommon)) << line;
    absl::ConsumePrefix(&labels, ",");
    samples[labels.empty() ? std::string(name) : absl::StrCat(name, "{", labels, "}")] = value;

    EXPECT_TRUE(absl::ConsumePrefix(&name, family.name)) << line;
    if (family.type == "histogram") {
      EXPECT_THAT(std::string(name), MatchesRegex("_bucket|_sum|_count")) << line;
    } else {
      EXPECT_EQ(name, "") << line;
    }
    if (!family.labels.empty() || labels.empty()) return;
    for (const absl::string_view label : absl::StrSplit(labels, ',')) {
      const absl::string_view key = label.substr(0, label.find('='));
      if (key != "le") family.labels.emplace_back(key);
    }
  }
};

double Sample(const Metrics& metrics, const std::string& name) {
  const Exposition exposition(metrics);
  const auto at = exposition.samples.find(name);
  EXPECT_NE(at, exposition.samples.end()) << name;
  return at == exposition.samples.end() ? -1 : at->second;
}

TEST(MetricsTest, HasVllmsNames) {
  std::map<std::string, std::string> types;
  for (const auto& family : Exposition(Metrics("m", FullConfig())).families)
    types[family.name] = family.type;
  for (const char* name :
       {"num_requests_running", "num_requests_waiting", "num_requests_waiting_by_reason",
        "kv_cache_usage_perc", "cache_config_info"})
    EXPECT_EQ(types[absl::StrCat("vllm:", name)], "gauge") << name;
  for (const char* name :
       {"prefix_cache_queries", "prefix_cache_hits", "num_preemptions", "prompt_tokens",
        "prompt_tokens_by_source", "prompt_tokens_cached", "prompt_tokens_cached_by_source",
        "generation_tokens", "request_success", "admission_rejections", "corrupted_requests",
        "spec_decode_num_drafts", "spec_decode_num_draft_tokens", "spec_decode_num_accepted_tokens",
        "spec_decode_num_accepted_tokens_per_pos"})
    EXPECT_EQ(types[absl::StrCat("vllm:", name, "_total")], "counter") << name;
  for (const char* name :
       {"time_to_first_token_seconds", "inter_token_latency_seconds",
        "request_time_per_output_token_seconds", "e2e_request_latency_seconds",
        "request_queue_time_seconds", "request_inference_time_seconds",
        "request_prefill_time_seconds", "request_decode_time_seconds", "request_prompt_tokens",
        "request_generation_tokens", "request_max_num_generation_tokens", "request_params_n",
        "request_params_max_tokens", "iteration_tokens_total", "request_num_preemptions",
        "request_prefill_kv_computed_tokens"})
    EXPECT_EQ(types[absl::StrCat("vllm:", name)], "histogram") << name;
}

TEST(MetricsTest, LeavesOutWhatTheEngineHasNot) {
  const Metrics metrics("m");
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("spec_decode")));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("_info")));
}

TEST(MetricsTest, CountsAStep) {
  Metrics metrics("m");
  StepSeconds seconds = {};
  seconds[static_cast<size_t>(StepPart::kForward)] = 0.5;
  metrics.StepRan(17, seconds);
  metrics.StepRan(3, seconds);
  metrics.SetLoad({.running = 3, .waiting = 2, .deferred = 1, .kv_cache_usage = 0.25});
  EXPECT_EQ(Sample(metrics, "keel:steps_total"), 2);
  EXPECT_EQ(Sample(metrics, "keel:step_seconds_total{part=\"forward\"}"), 1);
  EXPECT_EQ(Sample(metrics, "keel:step_seconds_total{part=\"output\"}"), 0);
  EXPECT_EQ(Sample(metrics, "vllm:iteration_tokens_total_sum"), 20);
  EXPECT_EQ(Sample(metrics, "vllm:iteration_tokens_total_bucket{le=\"8\"}"), 1);
  EXPECT_EQ(Sample(metrics, "vllm:iteration_tokens_total_bucket{le=\"+Inf\"}"), 2);
  EXPECT_EQ(Sample(metrics, "vllm:num_requests_running"), 3);
  EXPECT_EQ(Sample(metrics, "vllm:num_requests_waiting"), 3);
  EXPECT_EQ(Sample(metrics, "vllm:num_requests_waiting_by_reason{reason=\"capacity\"}"), 2);
  EXPECT_EQ(Sample(metrics, "vllm:num_requests_waiting_by_reason{reason=\"deferred\"}"), 1);
  EXPECT_EQ(Sample(metrics, "vllm:kv_cache_usage_perc"), 0.25);
}

TEST(MetricsTest, CountsAPromptBySource) {
  Metrics metrics("m");
  metrics.PromptLookedUp(100, 64);
  metrics.PromptDone(100, 64);
  EXPECT_EQ(Sample(metrics, "vllm:prefix_cache_queries_total"), 100);
  EXPECT_EQ(Sample(metrics, "vllm:prefix_cache_hits_total"), 64);
  EXPECT_EQ(Sample(metrics, "vllm:prompt_tokens_total"), 100);
  EXPECT_EQ(Sample(metrics, "vllm:prompt_tokens_cached_total"), 64);
  EXPECT_EQ(Sample(metrics, "vllm:prompt_tokens_by_source_total{source=\"local_compute\"}"), 36);
  EXPECT_EQ(Sample(metrics, "vllm:prompt_tokens_by_source_total{source=\"local_cache_hit\"}"), 64);
  EXPECT_EQ(
      Sample(metrics, "vllm:prompt_tokens_cached_by_source_total{source=\"local_cache_hit\"}"), 64);
}

TEST(MetricsTest, DividesTheLifeOfASequence) {
  Metrics metrics("m");
  const absl::Time t = absl::FromUnixSeconds(1000);
  metrics.SequenceFinished({.arrival = t,
                            .scheduled = t + absl::Seconds(1),
                            .first_token = t + absl::Seconds(3),
                            .last_token = t + absl::Seconds(11),
                            .finished = t + absl::Seconds(12),
                            .prompt_tokens = 100,
                            .cached_tokens = 64,
                            .generated_tokens = 5,
                            .max_tokens = 7,
                            .num_preemptions = 2},
                           "stop");
  metrics.RequestFinished(3, 5);
  EXPECT_EQ(Sample(metrics, "vllm:request_success_total{finished_reason=\"stop\"}"), 1);
  EXPECT_EQ(Sample(metrics, "vllm:request_success_total{finished_reason=\"abort\"}"), 0);
  for (const auto& [name, sum] :
       std::map<std::string, double>{{"e2e_request_latency_seconds", 12},
                                     {"request_queue_time_seconds", 1},
                                     {"request_prefill_time_seconds", 2},
                                     {"request_decode_time_seconds", 8},
                                     {"request_inference_time_seconds", 10},
                                     {"request_time_per_output_token_seconds", 2},
                                     {"request_prompt_tokens", 100},
                                     {"request_prefill_kv_computed_tokens", 36},
                                     {"request_generation_tokens", 5},
                                     {"request_params_max_tokens", 7},
                                     {"request_num_preemptions", 2},
                                     {"request_params_n", 3},
                                     {"request_max_num_generation_tokens", 5}}) {
    EXPECT_EQ(Sample(metrics, absl::StrCat("vllm:", name, "_sum")), sum) << name;
    EXPECT_EQ(Sample(metrics, absl::StrCat("vllm:", name, "_count")), 1) << name;
  }
}

TEST(MetricsTest, TimesOnlyWhatHappened) {
  Metrics metrics("m");
  const absl::Time t = absl::FromUnixSeconds(1000);
  metrics.SequenceFinished({.arrival = t, .finished = t + absl::Seconds(1)}, "abort");
  EXPECT_EQ(Sample(metrics, "vllm:e2e_request_latency_seconds_count"), 1);
  for (const char* name :
       {"queue_time", "prefill_time", "decode_time", "inference_time", "time_per_output_token"})
    EXPECT_EQ(Sample(metrics, absl::StrCat("vllm:request_", name, "_seconds_count")), 0) << name;
}

TEST(MetricsTest, CountsDraftsByPosition) {
  Metrics metrics("m", FullConfig());
  metrics.DraftVerified(2, 1);
  metrics.DraftVerified(2, 2);
  metrics.DraftVerified(2, 0);
  const std::string prefix = "vllm:spec_decode_num_";
  EXPECT_EQ(Sample(metrics, prefix + "drafts_total"), 3);
  EXPECT_EQ(Sample(metrics, prefix + "draft_tokens_total"), 6);
  EXPECT_EQ(Sample(metrics, prefix + "accepted_tokens_total"), 3);
  EXPECT_EQ(Sample(metrics, prefix + "accepted_tokens_per_pos_total{position=\"0\"}"), 2);
  EXPECT_EQ(Sample(metrics, prefix + "accepted_tokens_per_pos_total{position=\"1\"}"), 1);
}

TEST(MetricsTest, BucketsOfTokensReachUpToTheModelsLength) {
  const Exposition exposition(Metrics("m", FullConfig()));
  EXPECT_THAT(exposition.samples, Contains(Key("vllm:request_prompt_tokens_bucket{le=\"2000\"}")));
  EXPECT_THAT(exposition.samples,
              Not(Contains(Key("vllm:request_prompt_tokens_bucket{le=\"5000\"}"))));
}

TEST(MetricsTest, EscapesLabels) {
  MetricsConfig config;
  config.model_info = {{"plugin", "a\"b\\c\nd"}};
  const std::string text = Metrics("a\"b\\c\nd", config).Text();
  EXPECT_THAT(text, HasSubstr(R"(vllm:prompt_tokens_total{model_name="a\"b\\c\nd",engine="0"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(plugin="a\"b\\c\nd"} 1)"));
}

// The table of docs/observability.md is what is exposed. If this fails, put the table that it
// prints there.
TEST(MetricsTest, ThePageListsThemAll) {
  std::vector<std::string> rows;
  for (const auto& family : Exposition(Metrics("m", FullConfig())).families) {
    std::string labels = absl::StrJoin(family.labels, ",");
    if (absl::EndsWith(family.name, "_info")) labels = "...";
    if (!labels.empty()) labels = absl::StrCat("{", labels, "}");
    rows.push_back(
        absl::StrCat("| `", family.name, labels, "` | ", family.type, " | ", family.help, " |"));
  }
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string page, ReadFile("docs/observability.md"));
  std::vector<std::string> listed;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (absl::StartsWith(line, "| `vllm:") || absl::StartsWith(line, "| `keel:"))
      listed.emplace_back(line);
  }
  EXPECT_EQ(listed, rows) << "docs/observability.md should have:\n" << absl::StrJoin(rows, "\n");
}

}  // namespace
}  // namespace keel

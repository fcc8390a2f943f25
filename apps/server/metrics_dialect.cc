#include "apps/server/metrics_dialect.h"

#include <algorithm>
#include <iterator>

namespace keel::apps {
namespace {

constexpr MetricNames kNames[] = {
    {"vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size"},
    {"vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size"},
    {"vllm:kv_cache_usage_perc", "sglang:token_usage", ""},
    {"vllm:num_preemptions_total", "sglang:num_retracted_requests_total", ""},
    {"vllm:prompt_tokens_total", "sglang:prompt_tokens_total", ""},
    {"vllm:prompt_tokens_cached_total", "sglang:cached_tokens_total", ""},
    {"vllm:generation_tokens_total", "sglang:generation_tokens_total", ""},
    {"vllm:request_success_total", "sglang:num_requests_total", "tgi_request_success"},
    {"vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds", ""},
    {"vllm:inter_token_latency_seconds", "sglang:inter_token_latency_seconds", ""},
    {"vllm:request_time_per_output_token_seconds", "sglang:request_time_per_output_token_seconds",
     "tgi_request_mean_time_per_token_duration"},
    {"vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds",
     "tgi_request_duration"},
    {"vllm:request_queue_time_seconds", "sglang:queue_time_seconds", "tgi_request_queue_duration"},
    {"vllm:request_inference_time_seconds", "", "tgi_request_inference_duration"},
    {"vllm:request_prompt_tokens", "", "tgi_request_input_length"},
    {"vllm:request_generation_tokens", "", "tgi_request_generated_tokens"},
    {"vllm:request_params_max_tokens", "", "tgi_request_max_new_tokens"},
    {"keel:grammar_compile_seconds", "sglang:grammar_compilation_time_seconds", ""},
};

// What `metric` is called there; "" if nothing else.
std::string_view NameOf(std::string_view metric, MetricsDialect dialect) {
  const auto it = std::find_if(std::begin(kNames), std::end(kNames),
                               [&](const MetricNames& names) { return names.vllm == metric; });
  if (it == std::end(kNames)) return {};
  return dialect == MetricsDialect::kSglang ? it->sglang : it->tgi;
}

// Where the metric's name stands in a line: after "# HELP " and the like.
size_t NameBegin(std::string_view line) {
  for (const std::string_view mark : {"# HELP ", "# TYPE "}) {
    if (line.starts_with(mark)) return mark.size();
  }
  return 0;
}

void AppendRenamed(std::string_view line, MetricsDialect dialect, std::string& out) {
  const size_t begin = NameBegin(line);
  const size_t end = std::min(line.find_first_of(" {", begin), line.size());
  std::string_view name = line.substr(begin, end - begin);
  std::string_view suffix;
  std::string_view renamed = NameOf(name, dialect);
  for (const std::string_view of_histogram : {"_bucket", "_sum", "_count"}) {
    if (!renamed.empty() || !name.ends_with(of_histogram)) continue;
    renamed = NameOf(name.substr(0, name.size() - of_histogram.size()), dialect);
    suffix = of_histogram;
  }
  if (renamed.empty()) {
    out.append(line);
  } else {
    out.append(line.substr(0, begin)).append(renamed).append(suffix).append(line.substr(end));
  }
}

}  // namespace

std::span<const MetricNames> AllMetricNames() { return kNames; }

std::string RenameMetrics(const std::string& text, MetricsDialect dialect) {
  if (dialect == MetricsDialect::kVllm) return text;
  std::string out;
  out.reserve(text.size());
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    AppendRenamed(std::string_view(text).substr(begin, end - begin), dialect, out);
    out += '\n';
    begin = end + 1;
  }
  return out;
}

}  // namespace keel::apps

#include "apps/bench/serve_report.h"

#include <cstdio>
#include <utility>

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr double kMs = 1000;  // in a second

double Rate(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::string Line(const std::string& label, double value, int digits) {
  char text[96];
  std::snprintf(text, sizeof(text), "%-40s %-10.*f\n", label.c_str(), digits, value);
  return text;
}

std::string Line(const std::string& label, size_t value) {
  return Line(label, static_cast<double>(value), 0);
}

// `text` between two runs of `fill`, 50 wide.
std::string Title(const std::string& text, char fill) {
  constexpr size_t kWidth = 50;
  const size_t left = (kWidth - text.size()) / 2;
  return std::string(left, fill) + text + std::string(kWidth - left - text.size(), fill) + "\n";
}

struct Metric {
  const char *title, *name, *field;
  const Summary& summary;
};

}  // namespace

std::string ServeText(const ServeLoad& load, const ServeResult& result) {
  std::string text = Title(" Serving Benchmark Result ", '=');
  text += Line("Successful requests:", result.completed);
  text += Line("Failed requests:", result.failed);
  if (load.max_concurrency > 0) text += Line("Maximum request concurrency:", load.max_concurrency);
  if (load.request_rate > 0) text += Line("Request rate configured (RPS):", load.request_rate, 2);
  text += Line("Benchmark duration (s):", result.seconds, 2);
  text += Line("Total input tokens:", result.input_tokens);
  text += Line("Total generated tokens:", result.output_tokens);
  text += Line("Request throughput (req/s):", Rate(result.completed, result.seconds), 2);
  text += Line("Output token throughput (tok/s):", Rate(result.output_tokens, result.seconds), 2);
  text += Line("Total token throughput (tok/s):",
               Rate(result.input_tokens + result.output_tokens, result.seconds), 2);
  for (const auto& [title, name, field, summary] :
       {Metric{" Time to First Token ", "TTFT", "ttft", result.ttft},
        Metric{" Time per Output Token (excl. 1st token) ", "TPOT", "tpot", result.tpot},
        Metric{" Inter-token Latency ", "ITL", "itl", result.itl},
        Metric{" End-to-end Latency ", "E2EL", "e2el", result.e2el}}) {
    text += Title(title, '-');
    text += Line(std::string("Mean ") + name + " (ms):", summary.mean * kMs, 2);
    text += Line(std::string("Median ") + name + " (ms):", summary.p50 * kMs, 2);
    text += Line(std::string("P99 ") + name + " (ms):", summary.p99 * kMs, 2);
  }
  return text + Title("", '=');
}

json::object ServeJson(const ServeLoad& load, const ServeResult& result) {
  json::object out = {
      {"model_id", result.model},
      {"num_prompts", load.requests},
      {"burstiness", load.burstiness},
      {"duration", result.seconds},
      {"completed", result.completed},
      {"failed", result.failed},
      {"total_input_tokens", result.input_tokens},
      {"total_output_tokens", result.output_tokens},
      {"request_throughput", Rate(result.completed, result.seconds)},
      {"output_throughput", Rate(result.output_tokens, result.seconds)},
      {"total_token_throughput", Rate(result.input_tokens + result.output_tokens, result.seconds)},
  };
  out["request_rate"] = load.request_rate > 0 ? json::value(load.request_rate) : json::value("inf");
  out["max_concurrency"] =
      load.max_concurrency > 0 ? json::value(load.max_concurrency) : json::value(nullptr);
  for (const auto& [name, summary] : {std::pair<const char*, const Summary&>("ttft", result.ttft),
                                      {"tpot", result.tpot},
                                      {"itl", result.itl},
                                      {"e2el", result.e2el}}) {
    const std::string suffix = std::string("_") + name + "_ms";
    out["mean" + suffix] = summary.mean * kMs;
    out["median" + suffix] = summary.p50 * kMs;
    out["p90" + suffix] = summary.p90 * kMs;
    out["p99" + suffix] = summary.p99 * kMs;
  }
  return out;
}

}  // namespace keel::apps

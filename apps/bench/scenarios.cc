#include "apps/bench/scenarios.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/bench/interference.h"
#include "apps/bench/measure.h"
#include "apps/bench/prefix.h"
#include "apps/bench/roofline.h"
#include "apps/bench/statistics.h"
#include "apps/bench/throughput.h"
#include "apps/common/log.h"
#include "boost/json/array.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr double kMs = 1000;  // in a second

// Lines of the table, for people; none with --json.
class Table {
 public:
  Table(Bench& bench, const BenchFlags& flags) : bench_(bench), is_shown_(!flags.as_json) {}

  [[gnu::format(printf, 2, 3)]] void Print(const char* format, ...) {
    if (!is_shown_) return;
    bench_.progress.Clear();
    va_list arguments;
    va_start(arguments, format);
    std::vprintf(format, arguments);
    va_end(arguments);
    std::fflush(stdout);
  }

 private:
  Bench& bench_;
  const bool is_shown_;
};

json::object InMs(const Summary& seconds) {
  return {{"count", seconds.count},   {"mean", seconds.mean * kMs}, {"p50", seconds.p50 * kMs},
          {"p90", seconds.p90 * kMs}, {"p99", seconds.p99 * kMs},   {"max", seconds.max * kMs}};
}

// "512" stays a number; a range is text.
json::value ToJson(const TokenRange& range) {
  if (range.is_one()) return range.min;
  return json::value(ToString(range));
}

json::object Rates(double tokens, const std::vector<double>& seconds) {
  return {{"tokens_per_second", tokens / *std::min_element(seconds.begin(), seconds.end())},
          {"median", tokens / Median(seconds)}};
}

// An engine gives no output before it has text, so that several tokens may come in one.
void WarnOfHeldTokens(double tokens_per_output) {
  if (tokens_per_output <= 1.05) return;
  char text[160];
  std::snprintf(text, sizeof(text),
                "an output brought %.2f tokens on average: times to the first token and longest "
                "gaps are those of outputs",
                tokens_per_output);
  LogWarning(text);
}

std::string_view Text(const json::object& info, std::string_view key) {
  const json::value* value = info.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : "";
}

// "38.2 of 41.0 (93 %)"; "" of nothing.
std::string OfMost(double rate, double most) {
  if (rate == 0 || most == 0) return "";
  char text[64];
  std::snprintf(text, sizeof(text), "%.1f of %.1f (%.0f %%)", rate, most, 100 * rate / most);
  return text;
}

Result<json::object> RunSpeed(Bench& bench, const BenchFlags& flags, const json::object& info) {
  Workload workload{.prompt_tokens = flags.prompt_tokens.min,
                    .new_tokens = flags.new_tokens.min,
                    .repeats = flags.repeats};
  Table table(bench, flags);
  const StepCost cost = StepCostOf(info);
  const Products products = ProductsOf(Text(info, "quantization"), Text(info, "dtype"));
  table.Print(
      "batch  prefill tok/s   (median)   decode tok/s   (median)  prefill's GFLOP/s of peak  "
      "decode's GB/s of read\n");
  json::array results;
  for (const size_t batch : flags.batches) {
    workload.batch = batch;
    Roofline roofline(products);
    const auto times = Measure(bench, workload, roofline);
    if (!times.ok()) return times.status();
    if (times->prefill.empty()) break;  // stopped
    const auto tokens = [&](size_t each) { return static_cast<double>(batch * each); };
    const json::object prefill = Rates(tokens(workload.prompt_tokens), times->prefill);
    const json::object decode = Rates(tokens(workload.new_tokens), times->decode);
    const double read = roofline.read_gb_per_second(), peak = roofline.peak_gflop_per_second();
    const double gflop_per_second = (tokens(workload.prompt_tokens) * cost.token_gflop +
                                     static_cast<double>(batch) * cost.logits_gflop) /
                                    Median(times->prefill);
    const double gb_per_second =
        1e-9 * cost.weight_bytes * static_cast<double>(workload.new_tokens) / Median(times->decode);
    table.Print("%5zu  %13.1f %10.1f  %13.1f %10.1f  %25s  %21s\n", batch,
                prefill.at("tokens_per_second").get_double(), prefill.at("median").get_double(),
                decode.at("tokens_per_second").get_double(), decode.at("median").get_double(),
                OfMost(gflop_per_second, peak).c_str(), OfMost(gb_per_second, read).c_str());
    results.push_back(json::object{
        {"batch", batch},
        {"prefill", prefill},
        {"decode", decode},
        {"prefill_gflop_per_second", gflop_per_second},
        {"decode_weights_gb_per_second", gb_per_second},
        {"machine", json::object{{"read_gb_per_second", read}, {"peak_gflop_per_second", peak}}}});
  }
  return json::object{{"prompt_tokens", workload.prompt_tokens},
                      {"new_tokens", workload.new_tokens},
                      {"repeats", workload.repeats},
                      {"results", std::move(results)}};
}

// 1 first, then the others as given.
std::vector<size_t> WithOneFirst(const std::vector<size_t>& concurrency) {
  std::vector<size_t> all = {1};
  std::copy_if(concurrency.begin(), concurrency.end(), std::back_inserter(all),
               [](size_t n) { return n != 1; });
  return all;
}

Result<json::object> RunThroughput(Bench& bench, const BenchFlags& flags) {
  constexpr size_t kFewestRequests = 8;
  Table table(bench, flags);
  table.Print(
      "                                        first token, ms          "
      "between tokens, ms          whole request, s\n"
      "at once requests  out tok/s speedup    p50     p90     p99     "
      "p50     p90     p99     p50     p90     p99\n");
  json::array results;
  double one_by_one = 0, most_tokens_per_output = 0;
  for (const size_t concurrency : WithOneFirst(flags.concurrency)) {
    const ThroughputLoad load{
        .requests = flags.requests > 0 ? flags.requests : std::max(concurrency, kFewestRequests),
        .prompt_tokens = flags.prompt_tokens,
        .new_tokens = flags.new_tokens};
    const auto row = MeasureThroughput(bench, load, concurrency);
    if (!row.ok()) return row.status();
    if (row->output_tokens == 0) break;  // stopped
    const double rate = row->output_tokens_per_second();
    if (concurrency == 1) one_by_one = rate;
    const double speedup = rate / one_by_one;
    table.Print("%7zu %8zu %10.1f %6.2fx %7.1f %7.1f %7.1f %7.1f %7.1f %7.1f %7.2f %7.2f %7.2f\n",
                concurrency, row->requests, rate, speedup, row->ttft.p50 * kMs, row->ttft.p90 * kMs,
                row->ttft.p99 * kMs, row->itl.p50 * kMs, row->itl.p90 * kMs, row->itl.p99 * kMs,
                row->e2e.p50, row->e2e.p90, row->e2e.p99);
    results.push_back(json::object{
        {"concurrency", concurrency},
        {"requests", row->requests},
        {"prompt_tokens", row->prompt_tokens},
        {"output_tokens", row->output_tokens},
        {"seconds", row->seconds},
        {"output_tokens_per_second", rate},
        {"speedup", speedup},
        {"tokens_per_output", row->tokens_per_output},
        {"ttft_ms", InMs(row->ttft)},
        {"itl_ms", InMs(row->itl)},
        {"e2e_ms", InMs(row->e2e)},
    });
    most_tokens_per_output = std::max(most_tokens_per_output, row->tokens_per_output);
    if (bench.stop) break;
  }
  WarnOfHeldTokens(most_tokens_per_output);
  return json::object{{"prompt_tokens", ToJson(flags.prompt_tokens)},
                      {"new_tokens", ToJson(flags.new_tokens)},
                      {"results", std::move(results)}};
}

Result<json::object> RunInterference(Bench& bench, const BenchFlags& flags) {
  const auto result = MeasureInterference(bench, {.streams = flags.streams,
                                                  .prompt_tokens = flags.prompt_tokens,
                                                  .new_tokens = flags.new_tokens.min,
                                                  .long_tokens = flags.long_tokens,
                                                  .repeats = flags.repeats});
  if (!result.ok()) return result.status();
  Table table(bench, flags);
  table.Print(
      "%zu streams; a prompt of %zu tokens comes %zu times\n"
      "                 between tokens, ms               longest gap\n"
      "          tokens      p50      p99      max       ms\n",
      flags.streams, flags.long_tokens, flags.repeats);
  json::object phases;
  const std::pair<const char*, const Interference::Phase*> kPhases[] = {
      {"before", &result->before}, {"during", &result->during}, {"after", &result->after}};
  for (const auto& [name, phase] : kPhases) {
    const Summary& itl = phase->itl;
    table.Print("%-8s %7zu %8.1f %8.1f %8.1f %8.1f\n", name, itl.count, itl.p50 * kMs,
                itl.p99 * kMs, itl.max * kMs, phase->longest_gap * kMs);
    phases[name] =
        json::object{{"itl_ms", InMs(itl)}, {"longest_gap_ms", phase->longest_gap * kMs}};
  }
  const Summary alone = Summarize(result->ttft_alone), loaded = Summarize(result->ttft_loaded);
  const double ratio = alone.p50 > 0 ? loaded.p50 / alone.p50 : 0;
  table.Print("first token of the long prompt: %.1f ms, alone %.1f ms, %.2f times\n",
              loaded.p50 * kMs, alone.p50 * kMs, ratio);
  WarnOfHeldTokens(result->tokens_per_output);
  if (result->quiet_streams > 0) {
    LogWarning(std::to_string(result->quiet_streams) +
               " streams had tokens without text alone, and so no outputs to measure");
  }
  return json::object{{"streams", flags.streams},
                      {"prompt_tokens", ToJson(flags.prompt_tokens)},
                      {"new_tokens", flags.new_tokens.min},
                      {"long_tokens", flags.long_tokens},
                      {"repeats", flags.repeats},
                      {"quiet_streams", result->quiet_streams},
                      {"tokens_per_output", result->tokens_per_output},
                      {"phases", std::move(phases)},
                      {"long_ttft_ms", InMs(loaded)},
                      {"long_ttft_alone_ms", InMs(alone)},
                      {"long_ttft_ratio", ratio}};
}

Result<json::object> RunPrefix(Bench& bench, const BenchFlags& flags) {
  const auto times =
      MeasurePrefix(bench, {.prefix_tokens = flags.prefix_tokens, .repeats = flags.repeats});
  if (!times.ok()) return times.status();
  Table table(bench, flags);
  table.Print(
      "%zu prompts' beginnings of %zu tokens\n"
      "                     first token, ms\n"
      "                        median      max   cached tokens   speedup\n",
      times->first.ttft.size(), flags.prefix_tokens);
  const double first = Median(times->first.ttft);
  json::object results;
  struct Line {
    const char *title, *name;
    const PrefixTimes::Part& part;
  };
  for (const auto& [title, name, part] :
       {Line{"first", "first", times->first}, Line{"second", "second", times->second},
        Line{"another salt", "other_salt", times->salted}}) {
    const Summary ttft = Summarize(part.ttft);
    const double speedup = ttft.p50 > 0 ? first / ttft.p50 : 0;
    table.Print("%-20s %9.1f %8.1f %15zu %8.2fx\n", title, ttft.p50 * kMs, ttft.max * kMs,
                part.cached_tokens, speedup);
    results[name] = json::object{
        {"ttft_ms", InMs(ttft)}, {"cached_tokens", part.cached_tokens}, {"speedup", speedup}};
  }
  if (times->salted.cached_tokens > 0) {
    return Status(Code::kInternal, "the prefix cache gave " +
                                       std::to_string(times->salted.cached_tokens) +
                                       " tokens to a request with another cache_salt");
  }
  if (times->second.cached_tokens == 0 && !times->second.ttft.empty()) {
    LogWarning(
        "the second prompt found nothing in the prefix cache: it is off, too small, or the prefix "
        "is shorter than a block");
  }
  return json::object{{"prefix_tokens", flags.prefix_tokens},
                      {"repeats", flags.repeats},
                      {"results", std::move(results)}};
}

}  // namespace

Result<json::object> RunScenario(Bench& bench, const BenchFlags& flags, const json::object& info) {
  if (flags.scenario == "throughput") return RunThroughput(bench, flags);
  if (flags.scenario == "interference") return RunInterference(bench, flags);
  if (flags.scenario == "prefix") return RunPrefix(bench, flags);
  return RunSpeed(bench, flags, info);
}

}  // namespace keel::apps

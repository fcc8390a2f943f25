// keel-bench: prefill and decode speed of a model in this process, on random prompts.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "apps/bench/measure.h"
#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "boost/json/array.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

struct Flags {
  std::vector<size_t> batches = {1, 8};
  Workload workload;
  bool as_json = false;
};

void AddFlags(CLI::App& app, Flags* flags) {
  constexpr char kGroup[] = "Benchmark";
  app.add_option("--batch", flags->batches,
                 "Requests at once; several numbers are measured in turn.")
      ->type_name("N...")
      ->group(kGroup)
      ->check(CLI::PositiveNumber)
      ->default_str("1 8");
  app.add_option("--prompt-tokens", flags->workload.prompt_tokens, "Length of each prompt.")
      ->type_name("N")
      ->group(kGroup)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--new-tokens", flags->workload.new_tokens, "Decode steps that are timed.")
      ->type_name("N")
      ->group(kGroup)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--repeats", flags->workload.repeats, "Timed runs, after one to warm up.")
      ->type_name("N")
      ->group(kGroup)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--json", flags->as_json, "Print a JSON object instead of a table.")->group(kGroup);
}

json::object Rates(double tokens, const std::vector<double>& seconds) {
  return {{"tokens_per_second", tokens / *std::min_element(seconds.begin(), seconds.end())},
          {"median", tokens / Median(seconds)}};
}

int Fail(const Status& status) {
  std::cerr << "keel-bench: " << status.message() << "\n";
  return 1;
}

int Main(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  Flags flags;
  CommandLine command_line(
      "keel-bench",
      "Measures prefill and decode tokens a second of a model in this process. "
      "Rates count the tokens of all requests, the best and the median run.");
  AddFlags(command_line.app(), &flags);
  command_line.AddEngineFlags();
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;

  auto loaded = LoadModel(command_line, demo_model, {});
  if (!loaded.ok()) return Fail(loaded.status());
  const json::object& info = loaded->info;
  flags.workload.vocab_size = info.at("vocab_size").to_number<int64_t>();

  if (!flags.as_json) std::puts("batch  prefill tok/s   (median)   decode tok/s   (median)");
  json::array results;
  for (const size_t batch : flags.batches) {
    flags.workload.batch = batch;
    const auto times = Measure(loaded->engine, flags.workload);
    if (!times.ok()) return Fail(times.status());
    const auto tokens = [&](size_t each) { return static_cast<double>(batch * each); };
    const json::object prefill = Rates(tokens(flags.workload.prompt_tokens), times->prefill);
    const json::object decode = Rates(tokens(flags.workload.new_tokens), times->decode);
    if (!flags.as_json) {
      std::printf("%5zu  %13.1f %10.1f  %13.1f %10.1f\n", batch,
                  prefill.at("tokens_per_second").get_double(), prefill.at("median").get_double(),
                  decode.at("tokens_per_second").get_double(), decode.at("median").get_double());
      std::fflush(stdout);
    }
    results.push_back(json::object{{"batch", batch}, {"prefill", prefill}, {"decode", decode}});
  }
  if (flags.as_json) {
    std::cout << json::serialize(json::object{{"engine", info},
                                              {"prompt_tokens", flags.workload.prompt_tokens},
                                              {"new_tokens", flags.workload.new_tokens},
                                              {"repeats", flags.workload.repeats},
                                              {"results", std::move(results)}})
              << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace keel::apps

int main(int argc, char** argv) { return keel::apps::Main(argc, argv); }

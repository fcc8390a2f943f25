// keel-bench: measures a model in this process: its speed, and how it behaves under load.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include "apps/bench/closed_loop.h"
#include "apps/bench/flags.h"
#include "apps/bench/kernels.h"
#include "apps/bench/metrics_delta.h"
#include "apps/bench/scenarios.h"
#include "apps/bench/serve.h"
#include "apps/bench/serve_report.h"
#include "apps/bench/shapes.h"
#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/log.h"
#include "apps/common/paths.h"
#include "apps/common/programs.h"
#include "apps/common/progress.h"
#include "apps/common/signals.h"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr int kFailed = 1, kWrongFlags = 2, kInterrupted = 130;

// Set by Ctrl-C while a scenario runs.
std::atomic<bool> is_running = false, stop = false;

void Stop() {
  if (!is_running) std::_Exit(kInterrupted);
  LogInfo("ending with what was measured; once more ends at once");
  stop = true;
}

int Fail(const Status& status, int code = kFailed) {
  std::cerr << "keel-bench: " << status.message() << "\n";
  return code;
}

// Where random weights of flags.shape are, written if need be.
Result<std::string> FindShape(const std::string& shape) {
  Progress progress;
  return ShapeDirectory(shape, [&](int64_t done, int64_t total) {
    progress.Show("writing random weights of " + shape, done, total);
  });
}

// The first requests of an engine find cold caches. The scenario speed warms up itself.
Status WarmUp(Bench& bench) {
  constexpr size_t kPromptTokens = 16, kNewTokens = 4;
  return RunClosedLoop(bench,
                       {{.prompt = bench.prompts.Next(kPromptTokens), .new_tokens = kNewTokens}}, 1,
                       "warming up")
      .status();
}

Result<json::object> Run(Engine& engine, const BenchFlags& flags, const json::object& info) {
  Progress progress;
  Bench bench{.engine = engine,
              .prompts = Prompts(info.at("vocab_size").to_number<int64_t>()),
              .progress = progress,
              .stop = stop};
  if (flags.scenario != "speed") {
    if (Status status = WarmUp(bench); !status.ok()) return status;
  }
  const Result<std::string> before = engine.Metrics();
  if (!before.ok()) return before.status();
  Result<json::object> result = RunScenario(bench, flags, info);
  if (!result.ok()) return result;
  const Result<std::string> after = engine.Metrics();
  if (!after.ok()) return after.status();
  if (flags.metrics) {
    const Counts counts = Difference(ReadCounts(*before), ReadCounts(*after));
    (*result)["metrics"] = ToJson(counts);
    if (!flags.as_json) std::printf("engine's metrics\n%s", ToText(counts).c_str());
  }
  return result;
}

// Measures a server, not an engine in this process.
int RunServe(const BenchFlags& flags, const std::string& model) {
  const ServeLoad load{.url = *ParseHttpUrl(flags.base_url),
                       .model = model,
                       .requests = flags.requests > 0 ? flags.requests : 100,
                       .prompt_tokens = flags.prompt_tokens,
                       .new_tokens = flags.new_tokens,
                       .request_rate = flags.request_rate,
                       .burstiness = flags.burstiness,
                       .max_concurrency = flags.max_concurrency,
                       .vocab_size = static_cast<int64_t>(flags.vocab_size)};
  Progress progress;
  is_running = true;
  const Result<ServeResult> result = MeasureServe(load, progress, stop);
  if (!result.ok()) return Fail(result.status());
  if (flags.as_json) {
    std::cout << json::serialize(ServeJson(load, *result)) << "\n";
  } else {
    std::cout << ServeText(load, *result);
  }
  if (!result->first_error.ok()) return Fail(result->first_error);
  return stop ? kInterrupted : 0;
}

// Measures kernels, no engine. `quantization`: the one that was asked for.
int RunKernels(const BenchFlags& flags, const std::optional<std::string>& quantization) {
  Result<ShapeLinears> linears = LinearsOfShape(flags.shape);
  if (!linears.ok()) return Fail(linears.status());
  KernelLoad load{.linears = *std::move(linears),
                  .quantizations = {"none", "int8", "w8a8", "int4"},
                  .rows = {flags.rows.begin(), flags.rows.end()},
                  .repeats = flags.repeats};
  if (quantization.has_value()) load.quantizations = {*quantization};
  is_running = true;
  json::array rates;
  if (!flags.as_json) std::cout << KernelsTitle();
  MeasureKernels(load, stop, [&](const KernelRate& rate) {
    if (flags.as_json) {
      rates.push_back(KernelJson(rate));
    } else {
      std::cout << KernelText(rate) << std::flush;
    }
  });
  if (flags.as_json) {
    std::cout << json::serialize(json::object{{"scenario", "kernels"},
                                              {"shape", flags.shape},
                                              {"repeats", flags.repeats},
                                              {"results", std::move(rates)}})
              << "\n";
  }
  return stop ? kInterrupted : 0;
}

}  // namespace

int BenchMain(int argc, char** argv) {
  std::string model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  BenchFlags flags;
  CommandLine command_line("keel-bench",
                           "Measures a model in this process: its speed, or how it behaves under "
                           "load. Without --model: the demo model.");
  AddBenchFlags(command_line.app(), &flags);
  command_line.AddEngineFlags();
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  if (Status status = CheckBenchFlags(command_line.app(), flags); !status.ok()) {
    return Fail(status, kWrongFlags);
  }
  HandleStopSignals(Stop, kInterrupted);
  if (flags.scenario == "serve")
    return RunServe(flags, command_line.EngineValue("model").value_or(""));
  if (flags.scenario == "kernels") return RunKernels(flags, command_line.EngineValue("quantize"));

  if (!flags.shape.empty()) {
    Result<std::string> directory = FindShape(flags.shape);
    if (!directory.ok()) return Fail(directory.status());
    model = *std::move(directory);
  }
  // Prompts that start together are one piece of work: held back for those that have begun, they would make decodes
  // look slow.
  if (flags.scenario == "speed") command_line.SetEngineDefault("max-decode-slowdown", "0");
  auto loaded = LoadModel(command_line, model, {});
  if (!loaded.ok()) return Fail(loaded.status());
  is_running = true;
  Result<json::object> result = Run(loaded->engine, flags, loaded->info);
  if (!result.ok()) return Fail(result.status());
  if (flags.as_json) {
    json::object report = {{"engine", loaded->info}, {"scenario", flags.scenario}};
    if (stop) report["interrupted"] = true;
    for (auto& [name, value] : *result) report[name] = std::move(value);
    std::cout << json::serialize(report) << "\n";
  }
  return stop ? kInterrupted : 0;
}

}  // namespace keel::apps

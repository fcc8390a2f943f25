#include "apps/bench/flags.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "CLI/CLI.hpp"
#include "apps/bench/event_stream.h"
#include "apps/bench/shapes.h"

namespace keel::apps {
namespace {

constexpr std::string_view kScenarios[] = {"speed",  "throughput", "interference",
                                           "prefix", "serve",      "kernels"};

// Which scenarios use a flag that not all of them do.
struct Use {
  const char* flag;
  std::array<std::string_view, 5> scenarios;  // the rest is empty
};
constexpr Use kUses[] = {
    {"--batch", {"speed"}},
    {"--prompt-tokens", {"speed", "throughput", "interference", "serve"}},
    {"--new-tokens", {"speed", "throughput", "interference", "serve"}},
    {"--repeats", {"speed", "interference", "prefix", "kernels"}},
    {"--concurrency", {"throughput"}},
    {"--requests", {"throughput", "serve"}},
    {"--streams", {"interference"}},
    {"--long-tokens", {"interference"}},
    {"--prefix-tokens", {"prefix"}},
    {"--shape", {"speed", "throughput", "interference", "prefix", "kernels"}},
    {"--rows", {"kernels"}},
    {"--base-url", {"serve"}},
    {"--request-rate", {"serve"}},
    {"--burstiness", {"serve"}},
    {"--max-concurrency", {"serve"}},
    {"--vocab-size", {"serve"}},
};

// Without its name, which would stand in --help.
CLI::Validator IsPositive() { return CLI::Validator(CLI::PositiveNumber).description(""); }

void AddRange(CLI::App& app, const char* name, const char* help, TokenRange* range,
              const char* group) {
  app.add_option_function<std::string>(
         name, [range](const std::string& text) { *range = *ParseTokenRange(text); }, help)
      ->type_name("N")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return ParseTokenRange(text).has_value() ? "" : "expected a number or a range";
          },
          ""))
      ->default_str(ToString(*range))
      ->group(group);
}

void AddNumber(CLI::App& app, const char* name, const char* help, size_t* number,
               const char* group) {
  app.add_option(name, *number, help)
      ->type_name("N")
      ->check(IsPositive())
      ->capture_default_str()
      ->group(group);
}

void AddReal(CLI::App& app, const char* name, const char* help, double* number, const char* group) {
  app.add_option(name, *number, help)
      ->type_name("X")
      ->check(CLI::Validator(CLI::NonNegativeNumber).description(""))
      ->capture_default_str()
      ->group(group);
}

void AddNumbers(CLI::App& app, const char* name, const char* help, std::vector<size_t>* numbers,
                const char* default_text, const char* group) {
  app.add_option(name, *numbers, help)
      ->type_name("N...")
      ->delimiter(',')
      ->check(IsPositive())
      ->default_str(default_text)
      ->group(group);
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "|") + name;
  return text;
}

std::string Join(const std::array<std::string_view, 5>& words) {
  const auto n = static_cast<size_t>(std::find(words.begin(), words.end(), std::string_view()) -
                                     words.begin());
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    if (i > 0) text += i + 1 == n ? " and " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace

void AddBenchFlags(CLI::App& app, BenchFlags* flags) {
  app.add_option("SCENARIO", flags->scenario, "What is measured: see the end of this help.")
      ->type_name("speed|throughput|interference|prefix|serve|kernels")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return std::find(std::begin(kScenarios), std::end(kScenarios), text) !=
                           std::end(kScenarios)
                       ? ""
                       : "no such scenario";
          },
          ""))
      ->default_str("speed");
  constexpr char kAll[] = "Benchmark", kSpeed[] = "speed", kThroughput[] = "throughput",
                 kInterference[] = "interference", kPrefix[] = "prefix", kServe[] = "serve",
                 kKernels[] = "kernels";
  app.add_option("--shape", flags->shape,
                 "Measure random weights of a known model's shape, instead of --model. They are "
                 "written once, below "
                 "$XDG_CACHE_HOME/keel/shapes: 270 MB, 1 GB, 2.5 GB, 8 GB, 3.7 GB.")
      ->type_name(JoinNames(ShapeNames()))
      ->check(CLI::IsMember(ShapeNames()).description(""))
      ->group(kAll);
  AddRange(app, "--prompt-tokens",
           "Length of each prompt. A range, 64-256, makes them of different lengths (throughput, "
           "interference, serve).",
           &flags->prompt_tokens, kAll);
  AddRange(app, "--new-tokens",
           "Tokens that are decoded and timed: of each request; of interference, of each stream "
           "between the long prompts. May be a range (throughput, serve).",
           &flags->new_tokens, kAll);
  AddNumber(app, "--repeats",
            "Timed runs, after one to warm up; of interference, how many long prompts come; of "
            "prefix, how many prefixes.",
            &flags->repeats, kAll);
  app.add_flag("--json", flags->as_json, "Print a JSON object instead of a table.")->group(kAll);
  app.add_flag(
         "--metrics", flags->metrics,
         "Print what the engine itself counted meanwhile. Its metrics' counters, and the sums "
         "of its histograms.")
      ->group(kAll);
  AddNumbers(app, "--batch", "Requests at once; several numbers are measured in turn.",
             &flags->batches, "1 8", kSpeed);
  AddNumbers(app, "--concurrency",
             "Requests at once; several numbers are measured in turn. 1 is always measured, first: "
             "the others are compared with it. Requests beyond --max-num-seqs wait.",
             &flags->concurrency, "1,4,16,64", kThroughput);
  AddNumber(app, "--requests", "Requests of each concurrency; of serve, in all.", &flags->requests,
            kThroughput);
  app.get_option("--requests")->default_str("the concurrency, at least 8; of serve, 100");
  AddNumber(app, "--streams", "Requests whose tokens come while the long prompt does.",
            &flags->streams, kInterference);
  AddNumber(app, "--long-tokens", "Length of the long prompt.", &flags->long_tokens, kInterference);
  AddNumber(app, "--prefix-tokens", "Length of what the prompts share.", &flags->prefix_tokens,
            kPrefix);
  app.add_option(
         "--base-url", flags->base_url,
         "The server that is measured, any that speaks OpenAI's API. --model is what it calls "
         "the model, by default the first that it lists.")
      ->type_name("http://HOST:PORT")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return ParseHttpUrl(text).has_value() ? "" : "expected http://HOST:PORT";
          },
          ""))
      ->capture_default_str()
      ->group(kServe);
  AddReal(app, "--request-rate", "Requests that arrive in a second, on average. 0: all at once.",
          &flags->request_rate, kServe);
  AddReal(app, "--burstiness",
          "Of the gaps between requests, which are gamma-distributed: 1 is a Poisson process, less "
          "comes in bursts.",
          &flags->burstiness, kServe);
  app.get_option("--burstiness")->check(IsPositive());
  AddNumber(app, "--max-concurrency",
            "Requests that run at once at most; others wait with the client, and their wait counts "
            "for nothing.",
            &flags->max_concurrency, kServe);
  app.get_option("--max-concurrency")->default_str("no bound");
  AddNumber(app, "--vocab-size", "Prompts are random token ids below this.", &flags->vocab_size,
            kServe);
  AddNumbers(app, "--rows", "Rows of inputs; several numbers are measured in turn.", &flags->rows,
             "1,4,16,64,512", kKernels);
  app.footer(
      "speed         tokens a second of prefill and decode, a batch of requests at a time; the "
      "best\n"
      "              and the median run\n"
      "throughput    output tokens a second at several concurrencies: as a request ends, the next\n"
      "              one starts; and how long first tokens, further tokens and requests take\n"
      "interference  what a long prompt does to streams that are decoding, and they to it\n"
      "prefix        time to the first token of a prompt whose beginning another had, and of one\n"
      "              that has another cache_salt and must not find it\n"
      "serve         a running server, over HTTP: requests arrive at a rate; prints what\n"
      "              vllm bench serve does\n"
      "kernels       the linears of --shape by themselves, with each --quantize or the one "
      "given\n\n"
      "Prompts are random token ids, no two begin alike; answers are greedy and as long as asked\n"
      "for. An output that brings several tokens counts as that many, its time shared by them.\n"
      "Ctrl-C ends with what was measured; a second one ends at once. Exit codes: 0 all was\n"
      "measured, 1 something failed, 2 wrong flags, 130 interrupted.");
}

Status CheckBenchFlags(const CLI::App& app, const BenchFlags& flags) {
  if (flags.scenario == "kernels" && flags.shape.empty()) {
    return Status(Code::kInvalidArgument, "kernels needs --shape: it measures no model");
  }
  if (!flags.shape.empty() && app.get_option("--model")->count() > 0) {
    return Status(Code::kInvalidArgument,
                  "--shape and --model both name what is measured; give one");
  }
  for (const Use& use : kUses) {
    if (app.get_option(use.flag)->count() == 0) continue;
    const auto& scenarios = use.scenarios;
    if (std::find(scenarios.begin(), scenarios.end(), flags.scenario) == scenarios.end()) {
      return Status(Code::kInvalidArgument, std::string(use.flag) + " is for " + Join(scenarios) +
                                                ", not for " + flags.scenario);
    }
  }
  const auto must_be_one = [&](const char* flag, const TokenRange& range) {
    return range.is_one()
               ? Status()
               : Status(Code::kInvalidArgument, std::string(flag) + " is '" + ToString(range) +
                                                    "', expected one number for " + flags.scenario);
  };
  if (flags.scenario == "speed") {
    if (Status status = must_be_one("--prompt-tokens", flags.prompt_tokens); !status.ok()) {
      return status;
    }
  }
  if (flags.scenario != "throughput" && flags.scenario != "serve")
    return must_be_one("--new-tokens", flags.new_tokens);
  return Status();
}

}  // namespace keel::apps

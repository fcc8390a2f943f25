// keel-check: whether a model can be served, clause by clause, before any weight is read.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "apps/check/table.h"
#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/paths.h"
#include "apps/common/programs.h"
#include "boost/json/parse.hpp"
#include "sdk/keel/check.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr int kFailed = 1, kWrongFlags = 2;

struct Flags {
  std::vector<int32_t> tensor_parallel;
  std::vector<std::string> plugins;
  bool as_json = false;
  bool details = false;
};

void AddFlags(CLI::App& app, Flags* flags) {
  constexpr char kGroup[] = "Check";
  app.add_option("--plugin", flags->plugins,
                 "The same as --plugin-path: a plugin file, or directory of plugins. May be "
                 "repeated.")
      ->type_name("PATH")
      ->allow_extra_args(false)
      ->group(kGroup);
  app.add_option("--tp", flags->tensor_parallel,
                 "Tensor parallel degrees that must work. 2, 4 and 8 are told of in any case.")
      ->type_name("N...")
      ->delimiter(',')
      ->check(CLI::Range(1, 64).description(""))
      ->group(kGroup);
  app.add_flag("--json", flags->as_json, "Print the report as a JSON object.")->group(kGroup);
  app.add_flag("--details", flags->details, "Print the parts of what passes, too.")->group(kGroup);
}

int Fail(const Status& status, int code) {
  std::cerr << "keel-check: " << status.message() << "\n";
  return code;
}

Result<std::string> Check(const CommandLine& command_line, const Flags& flags,
                          const std::string& model) {
  Result<Options> options = command_line.EngineOptions(model);
  if (!options.ok()) return options.status();
  for (const std::string& plugin : flags.plugins) {
    if (Status status = options->Set("plugin-path", plugin); !status.ok()) return status;
  }
  return CheckModel(*options, flags.tensor_parallel);
}

}  // namespace

int CheckMain(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  Flags flags;
  CommandLine command_line("keel-check",
                           "Tells whether a model can be served, clause by clause, before any "
                           "weight is read. docs/check.md explains the clauses. Without a model: "
                           "the demo model. Exit status: 0, or 1 if a clause fails.");
  AddFlags(command_line.app(), &flags);
  command_line.AddEngineFlags(/*takes_model_as_word=*/true);
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  const std::string model = command_line.EngineValue("model").value_or(demo_model);
  if (model.empty()) return Fail(NoDemoModel(), kFailed);

  const Result<std::string> text = Check(command_line, flags, model);
  if (!text.ok()) return Fail(text.status(), kWrongFlags);
  const json::object report = json::parse(*text).as_object();
  if (flags.as_json) {
    std::cout << *text << "\n";
  } else {
    const bool colour = isatty(STDOUT_FILENO) != 0;
    std::cout << FormatReport(report, {.colour = colour, .details = flags.details});
  }
  return report.at("passed").as_bool() ? 0 : kFailed;
}

}  // namespace keel::apps

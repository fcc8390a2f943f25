#include "apps/validate/flags.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"

namespace keel::apps {
namespace {

constexpr char kDescription[] =
    "Checks a plugin against the requirements of docs/plugin-requirements.md, each in a process of "
    "its own.";
constexpr char kFooter[] =
    "Exit code: 0 nothing failed, 1 a requirement is broken, 2 wrong flags.\n"
    "A line of a waiver file: KEEL-PLG-050 why it is waived";

// "S,L" or "SL" to "SL"; throws what CLI shows for a letter that is no group.
std::string ParseGroups(const std::vector<std::string>& words) {
  std::string letters;
  for (const std::string& word : words) {
    for (const char c : word) {
      if (c == ',') continue;
      letters.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
    }
  }
  std::string known;
  for (const RequirementGroup& group : RequirementGroups()) known.push_back(group.letter);
  for (const char letter : letters) {
    if (known.find(letter) == std::string::npos) {
      throw CLI::ValidationError("--group", std::string("there is no group '") + letter +
                                                "', expected letters of " + known);
    }
  }
  return letters;
}

conformance::Waivers ReadWaivers(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file && text.empty()) throw CLI::ValidationError("--waive", path + ": cannot be read");
  absl::StatusOr<conformance::Waivers> waivers = conformance::ParseWaivers(text, path);
  if (!waivers.ok()) throw CLI::ValidationError("--waive", std::string(waivers.status().message()));
  return *std::move(waivers);
}

}  // namespace

std::optional<int> ParseValidateFlags(int argc, const char* const* argv, ValidateFlags* flags) {
  CLI::App app(kDescription, "keel-validate");
  app.footer(kFooter);
  conformance::KitOptions& kit = flags->kit;
  std::vector<std::string> groups;
  std::string waivers;
  double seconds = absl::ToDoubleSeconds(kit.limit);
  kit.jobs = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));

  app.add_option("PLUGIN", kit.subject.plugin, "the plugin's file, libmine.so")
      ->check(CLI::ExistingFile);
  app.add_option("--config", kit.subject.configs,
                 "a directory with a config.json (and weights) of a model of this plugin; without "
                 "one, only the file, its loading and its attention are looked at")
      ->type_name("DIR")
      ->check(CLI::ExistingPath);
  app.add_option("--group", groups, "groups by letter, S,L; all of them if not given")
      ->type_name("LETTERS");
  app.add_option("--seed", kit.subject.seed, "of what is drawn at random; a failure names it")
      ->capture_default_str();
  app.add_option("--waive", waivers, "requirements that may be broken, with a reason each")
      ->type_name("FILE");
  app.add_option("--timeout", seconds, "for one check, in seconds")->capture_default_str();
  app.add_option("--jobs", kit.jobs, "checks at once")->check(CLI::PositiveNumber);
  app.add_flag("--in-process", kit.in_process, "no process a check, no timeout: for a debugger");
  app.add_option("--json", flags->json, "write the results there; - is stdout")->type_name("FILE");
  app.add_option("--junit", flags->junit, "the same as JUnit's XML")->type_name("FILE");
  app.add_option("--architectures", flags->architectures,
                 "fail unless the plugin serves these and no others")
      ->type_name("NAMES")
      ->delimiter(',');
  app.add_option("--manifest", flags->manifest,
                 "if nothing fails, write the keel_plugin.json of a checkpoint that brings it")
      ->type_name("FILE");
  app.add_flag("--list", flags->list, "print the requirements and end");

  try {
    app.parse(argc, argv);
    if (!flags->list && kit.subject.plugin.empty()) throw CLI::RequiredError("PLUGIN");
    kit.groups = ParseGroups(groups);
    if (!waivers.empty()) kit.waivers = ReadWaivers(waivers);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  kit.limit = absl::Seconds(seconds);
  return std::nullopt;
}

}  // namespace keel::apps

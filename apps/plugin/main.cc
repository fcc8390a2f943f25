// keel-plugin: looks into, pins, signs and verifies plugins, and exports graphs.
#include <iomanip>
#include <iostream>
#include <string_view>

#include "apps/common/paths.h"
#include "apps/common/programs.h"
#include "apps/plugin/commands.h"

namespace keel::apps {
namespace {

constexpr int kColumn = 16;

void PrintUsage(std::ostream& out) {
  out << "Plugins that come with checkpoints: what they are and what they may do.\n"
         "Usage: keel-plugin COMMAND PATH [FLAGS]\n\n";
  for (const PluginCommand& command : PluginCommands())
    out << "  " << std::left << std::setw(kColumn) << command.name << command.summary << "\n";
  out << "\nkeel-plugin COMMAND --help explains its flags. PATH is a plugin's library, a graph "
         "file, or\nthe directory of a checkpoint that brings one. Exit codes: 0 done, 1 failed or "
         "not verified,\n2 wrong flags. docs/security.md says what trust each step needs.\n";
}

}  // namespace

int PluginMain(int argc, char** argv) {
  EnterUsersDirectory();
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const PluginCommand& command : PluginCommands()) {
    if (command.name == name) return command.run(argc - 1, argv + 1);
  }
  if (name == "--help" || name == "-h") {
    PrintUsage(std::cout);
    return 0;
  }
  if (!name.empty()) std::cerr << "keel-plugin: there is no command '" << name << "'\n\n";
  PrintUsage(std::cerr);
  return 2;
}

}  // namespace keel::apps

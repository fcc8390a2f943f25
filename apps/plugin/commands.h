// The commands of keel-plugin.
#ifndef KEEL_APPS_PLUGIN_COMMANDS_H_
#define KEEL_APPS_PLUGIN_COMMANDS_H_

#include <span>
#include <string_view>

namespace keel::apps {

struct PluginCommand {
  std::string_view name;
  std::string_view summary;
  // `argv` begins with the command's name. Gives the exit code: 0 done (verify: verified), 1 failed
  // (verify: not), 2 wrong flags.
  int (*run)(int argc, const char* const* argv);
};

std::span<const PluginCommand> PluginCommands();

}  // namespace keel::apps

#endif  // KEEL_APPS_PLUGIN_COMMANDS_H_

// Flags of an app: its own and the engine's, with help and suggestions.
#ifndef KEEL_APPS_COMMON_COMMAND_LINE_H_
#define KEEL_APPS_COMMON_COMMAND_LINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// `-h` is a line a flag, `--help` explains. `--max_model_len` is `--max-model-len`. A switch also
// takes --no-. A flag may also stand in the environment, as KEEL_MAX_MODEL_LEN, or in the file of
// --config; the command line overrules the environment, which overrules the file. Flags of other
// servers that mean the same are taken.
class CommandLine {
 public:
  CommandLine(std::string name, std::string description);

  // For the app's own flags; use `group` of each option to say what it is for.
  CLI::App& app() { return app_; }
  // Adds a flag for every option of the engine, after the app's own flags. With
  // `takes_model_as_word` a word without dashes is a --model, too.
  void AddEngineFlags(bool takes_model_as_word = false);

  // Empty: go on. Else the code to exit with: help was asked for and printed, or the flags are wrong
  // and why is on stderr.
  std::optional<int> Parse(int argc, const char* const* argv);

  // Gives an engine option, which is no switch, another default.
  void SetEngineDefault(const std::string& name, const std::string& value);
  // The values that the user gave to an engine option; the last one, if any.
  std::vector<std::string> EngineValues(const std::string& name) const;
  std::optional<std::string> EngineValue(const std::string& name) const;
  // A number among the engine's options: as given, or its default; 0 if it is none.
  int64_t EngineNumber(const std::string& name) const;
  // The engine's options as given, but with `model` for --model if it is not empty. An error names the
  // flag; there is none once Parse has found none.
  Result<Options> EngineOptions(const std::string& model) const;

 private:
  struct EngineFlag {
    std::vector<std::string> values;
    bool is_on = false;
    CLI::Option* option = nullptr;
    bool is_switch = false;
    bool needs_no_value = false;
    std::vector<std::string> defaults = {};  // SetEngineDefault's
  };

  class FileReader;

  bool Has(const std::string& flag) const;
  std::vector<std::string> Translate(const std::vector<std::string>& arguments) const;
  // An error that begins with a flag's name, after the place of its value if it is not the command
  // line.
  std::string WithPlace(const std::string& error) const;

  CLI::App app_;
  std::map<std::string, EngineFlag> engine_flags_;  // nodes stay where they are
  std::map<std::string, std::string> places_;  // of values from a file, by their flag's first name
};

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_COMMAND_LINE_H_

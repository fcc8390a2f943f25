#include "apps/common/command_line.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "apps/common/config_file.h"
#include "apps/common/foreign_flags.h"
#include "apps/common/help.h"
#include "apps/common/nearest.h"

namespace keel::apps {
namespace {

// "--max_model_len=5" -> "--max-model-len=5"; values stay as they are.
void UseDashes(std::string& argument) {
  if (argument.rfind("--", 0) != 0) return;
  const size_t end = std::min(argument.find('='), argument.size());
  std::replace(argument.begin(), argument.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
}

std::vector<std::string> FlagNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// "KEEL_MAX_MODEL_LEN" of "--max-model-len".
std::string EnvironmentName(const std::string& flag) {
  std::string name = "KEEL";
  for (const char c : flag.substr(1)) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// What the environment says of a flag; null: nothing.
const char* Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return nullptr;
  // Kubernetes sets KEEL_PORT=tcp://... in every container beside a service called keel.
  return std::string_view(value).starts_with("tcp://") ? nullptr : value;
}

bool SaysWhichConfig(const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return argument == "--config" || argument.starts_with("--config=");
  });
}

// Why there is no such flag.
std::string ExplainFlag(const CLI::App& app, const std::string& name) {
  if (const std::string_view hint = HintForForeignFlag(name); !hint.empty()) {
    return "there is no flag " + name + " here; " + std::string(hint);
  }
  const std::string nearest = Nearest(name, FlagNames(app));
  return "unknown flag " + name +
         (nearest.empty() ? "; -h lists them" : "; did you mean " + nearest + "?");
}

// Why what CLI11 could not place is wrong.
std::string ExplainRest(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining();
  const auto flag = std::find_if(rest.begin(), rest.end(),
                                 [](const std::string& word) { return word.starts_with("-"); });
  if (flag == rest.end()) {
    return "unexpected argument '" + (rest.empty() ? "" : rest.front()) + "'; flags begin with --";
  }
  return ExplainFlag(app, flag->substr(0, flag->find('=')));
}

// What CLI11 says of a flag's value, in our words.
std::string ExplainValue(const CLI::App& app, const CLI::ParseError& error) {
  const std::string text = error.what();
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (!text.starts_with(name + ":") && text.find(" " + name + " = ") == std::string::npos) {
      continue;
    }
    const std::string type = option->get_type_name();
    const std::string expected = type.empty()
                                     ? "true or false"
                                     : type + " (" + FirstSentence(option->get_description()) + ")";
    if (error.get_name() == "ArgumentMismatch") return name + " has no value, expected " + expected;
    if (option->empty()) return text;
    return name + " is '" + option->results().back() + "', expected " + expected;
  }
  return text;
}

}  // namespace

// Gives CLI11 the settings of --config that neither the command line nor the environment overrules;
// CLI11 itself asks the command line.
class CommandLine::FileReader : public CLI::Config {
 public:
  explicit FileReader(CommandLine* line) : line_(*line) {}

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::string file = line_.app_.get_config_ptr()->as<std::string>();
    Result<std::vector<Setting>> settings = ReadConfigFile(input, file);
    if (!settings.ok()) throw CLI::ConfigError(settings.status().message());
    std::vector<CLI::ConfigItem> items;
    for (Setting& setting : *settings) {
      if (setting.values.size() > 1) {
        Add(setting.flag, std::move(setting.values), setting.where, items);
        continue;
      }
      for (const std::string& argument :
           line_.Translate({setting.flag + "=" + setting.values.front()})) {
        const size_t end = std::min(argument.find('='), argument.size());
        Add(argument.substr(0, end), {end < argument.size() ? argument.substr(end + 1) : "true"},
            setting.where, items);
      }
    }
    return items;
  }

 private:
  void Add(const std::string& flag, std::vector<std::string> values, const std::string& where,
           std::vector<CLI::ConfigItem>& items) const {
    const CLI::Option* option = line_.app_.get_option_no_throw(flag);
    if (option == nullptr) throw CLI::ConfigError(where + ": " + ExplainFlag(line_.app_, flag));
    if (!option->empty() || Environment(option->get_envname()) != nullptr) return;
    line_.places_[option->get_name()] = where;
    items.push_back({.parents = {}, .name = flag.substr(2), .inputs = std::move(values)});
  }

  CommandLine& line_;
};

CommandLine::CommandLine(std::string name, std::string description)
    : app_(std::move(description), std::move(name)) {
  app_.formatter(NewHelpFormatter());
  app_.set_help_flag("-h", "This list of flags, a line each")->group("Help");
  app_.set_help_all_flag("--help", "The same with explanations")->group("Help");
  app_.set_version_flag("--version", keel_version(), "The version")->group("Help");
  app_.set_config("--config", "",
                  "A YAML file of flags, a name and a value in each line. Every flag is also an "
                  "environment variable, --max-model-len KEEL_MAX_MODEL_LEN; the command line "
                  "overrules the environment, which overrules the file.")
      ->type_name("FILE")
      ->group("Help");
  app_.config_formatter(std::make_shared<FileReader>(this));
}

void CommandLine::AddEngineFlags(bool takes_model_as_word) {
  for (const OptionInfo& info : Options::Describe()) {
    const std::string name(info.name);
    EngineFlag& flag = engine_flags_[name];
    flag.is_switch = info.value_name.empty();
    std::string names = "--" + name;
    for (const std::string& alias : CLI::detail::split(std::string(AliasesOf(name)), ',')) {
      // A program's own flag goes before an alias: `keel check --tp`.
      if (!alias.empty() && !Has(alias.substr(alias.find('-')))) names += "," + alias;
    }
    if (flag.is_switch) {
      flag.option = app_.add_flag(names + ",!--no-" + name, flag.is_on);
    } else {
      const bool is_word = takes_model_as_word && name == "model";
      if (is_word) names += ",MODEL";
      flag.option = app_.add_option(names, flag.values)->allow_extra_args(is_word);
      flag.option->type_name(std::string(info.value_name));
      flag.needs_no_value = info.default_value == "false";
      if (flag.needs_no_value) flag.option->expected(0, 1);
    }
    flag.option->description(std::string(info.help));
    flag.option->group(std::string(info.group));
    // CLI11 takes the default for a value that is left out.
    if (!flag.needs_no_value) flag.option->default_str(std::string(info.default_value));
  }
}

bool CommandLine::Has(const std::string& flag) const {
  return app_.get_option_no_throw(flag) != nullptr;
}

std::vector<std::string> CommandLine::Translate(const std::vector<std::string>& arguments) const {
  return TranslateForeignFlags(arguments, [this](const std::string& flag) { return Has(flag); });
}

std::string CommandLine::WithPlace(const std::string& error) const {
  const CLI::Option* option = app_.get_option_no_throw(error.substr(0, error.find(' ')));
  if (option == nullptr || option->empty()) return error;
  const auto place = places_.find(option->get_name());
  if (place != places_.end()) return place->second + ": " + error;
  const char* value = Environment(option->get_envname());
  const bool is_environments = value != nullptr && option->results().back() == value;
  return is_environments ? "environment variable " + option->get_envname() + ": " + error : error;
}

std::optional<int> CommandLine::Parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) UseDashes(argument);
  arguments = Translate(arguments);
  if (const char* config = Environment("KEEL_CONFIG");
      config != nullptr && !SaysWhichConfig(arguments)) {
    arguments.insert(arguments.begin(), std::string("--config=") + config);
  }
  std::vector<const char*> pointers = {argv[0]};
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  for (CLI::Option* option : app_.get_options({})) {
    // Of a flag that is given twice the last value counts.
    if (option->get_items_expected_max() == 1) option->take_last();
    const std::string name = EnvironmentName(option->get_name());
    if (option->nonpositional() && Environment(name) != nullptr) option->envname(name);
  }
  try {
    app_.allow_extras(false);
    app_.parse(static_cast<int>(pointers.size()), pointers.data());
    std::string wrong;
    for (const std::string& word : EngineValues("model")) {
      if (word == "true" || word == "false") {
        wrong = "unexpected argument '" + word + "'; a switch has no value: --NAME or --no-NAME";
      }
    }
    if (wrong.empty()) wrong = WithPlace(EngineOptions("").status().message());
    if (wrong.empty()) return std::nullopt;
    std::cerr << app_.get_name() << ": " << wrong << "\n";
  } catch (const CLI::Success& success) {  // help or version
    return app_.exit(success);
  } catch (const CLI::RequiredError& error) {
    // A required flag that is misspelt is an unknown flag first.
    std::cerr << app_.get_name() << ": "
              << (app_.remaining().empty() ? ExplainValue(app_, error) : ExplainRest(app_)) << "\n";
  } catch (const CLI::ExtrasError&) {
    std::cerr << app_.get_name() << ": " << ExplainRest(app_) << "\n";
  } catch (const CLI::FileError&) {
    std::cerr << app_.get_name() << ": --config " << app_.get_config_ptr()->as<std::string>()
              << " cannot be read\n";
  } catch (const CLI::ConfigError& error) {
    std::cerr << app_.get_name() << ": " << error.what() << "\n";
  } catch (const CLI::ParseError& error) {
    std::cerr << app_.get_name() << ": " << WithPlace(ExplainValue(app_, error)) << "\n";
  }
  return 2;
}

void CommandLine::SetEngineDefault(const std::string& name, const std::string& value) {
  engine_flags_.at(name).defaults = {value};
}

std::vector<std::string> CommandLine::EngineValues(const std::string& name) const {
  const auto it = engine_flags_.find(name);
  if (it == engine_flags_.end()) return {};
  const EngineFlag& flag = it->second;
  std::vector<std::string> values = flag.defaults;
  if (flag.option->count() > 0) {
    values = flag.is_switch ? std::vector<std::string>{flag.is_on ? "true" : "false"} : flag.values;
    const bool has_none = values.empty() || values.back().empty();
    if (flag.needs_no_value && has_none) values = {"true"};  // --trust-remote-code alone
  }
  return values;
}

std::optional<std::string> CommandLine::EngineValue(const std::string& name) const {
  const std::vector<std::string> values = EngineValues(name);
  if (values.empty()) return std::nullopt;
  return values.back();
}

int64_t CommandLine::EngineNumber(const std::string& name) const {
  std::string text = EngineValue(name).value_or("");
  for (const OptionInfo& info : Options::Describe()) {
    if (text.empty() && info.name == name) text = info.default_value;
  }
  return std::atoll(text.c_str());
}

Result<Options> CommandLine::EngineOptions(const std::string& model) const {
  Options options;
  for (const auto& [name, flag] : engine_flags_) {
    std::vector<std::string> values = EngineValues(name);
    if (name == "model" && !model.empty()) values = {model};
    for (const std::string& value : values) {
      if (Status status = options.Set(name, value); !status.ok()) return status;
    }
  }
  return options;
}

}  // namespace keel::apps

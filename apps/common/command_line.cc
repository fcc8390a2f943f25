#include "apps/common/command_line.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "apps/common/foreign_flags.h"
#include "apps/common/nearest.h"

namespace keel::apps {
namespace {

constexpr size_t kColumn = 34;  // where explanations begin
constexpr size_t kWidth = 100;

// `text` in lines of at most kWidth, from kColumn on.
std::string Wrap(const std::string& text) {
  std::istringstream words(text);
  std::string out, word;
  size_t at = kColumn;
  while (words >> word) {
    if (at > kColumn && at + 1 + word.size() > kWidth) {
      out += "\n" + std::string(kColumn, ' ');
      at = kColumn;
    } else if (at > kColumn) {
      out += ' ';
      ++at;
    }
    out += word;
    at += word.size();
  }
  return out;
}

std::string FirstSentence(const std::string& text) {
  const size_t end = std::min(text.find(". "), text.find("\n"));
  std::string sentence = text.substr(0, end);
  if (sentence.ends_with('.')) sentence.pop_back();
  return sentence;
}

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    is_long_ = mode == CLI::AppFormatMode::All;
    return CLI::Formatter::make_help(app, std::move(name), CLI::AppFormatMode::Normal);
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string line = "  " + option->get_name(is_positional, /*all_options=*/is_long_);
    if (const std::string value = option->get_type_name(); !value.empty()) line += " " + value;
    std::string text = option->get_description();
    if (!is_long_) text = FirstSentence(text);
    if (const std::string value = option->get_default_str(); !value.empty()) {
      text += " (default " + value + ")";
    }
    line += line.size() + 1 < kColumn ? std::string(kColumn - line.size(), ' ')
                                      : "\n" + std::string(kColumn, ' ');
    return line + Wrap(text) + "\n";
  }

 private:
  mutable bool is_long_ = false;
};

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

// Why what CLI11 could not place is wrong.
std::string ExplainRest(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining();
  const auto flag = std::find_if(rest.begin(), rest.end(),
                                 [](const std::string& word) { return word.starts_with("-"); });
  if (flag == rest.end()) {
    return "unexpected argument '" + (rest.empty() ? "" : rest.front()) + "'; flags begin with --";
  }
  const std::string name = flag->substr(0, flag->find('='));
  if (const std::string_view hint = HintForForeignFlag(name); !hint.empty()) {
    return "there is no flag " + name + " here; " + std::string(hint);
  }
  const std::string nearest = Nearest(name, FlagNames(app));
  return "unknown flag " + name +
         (nearest.empty() ? "; -h lists them" : "; did you mean " + nearest + "?");
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
    return name + " is '" + option->results().back() + "', expected " + expected;
  }
  return text;
}

}  // namespace

CommandLine::CommandLine(std::string name, std::string description)
    : app_(std::move(description), std::move(name)) {
  app_.formatter(std::make_shared<HelpFormatter>());
  app_.set_help_flag("-h", "This list of flags, a line each")->group("Help");
  app_.set_help_all_flag("--help", "The same with explanations")->group("Help");
  app_.set_version_flag("--version", keel_version(), "The version")->group("Help");
}

void CommandLine::AddEngineFlags() {
  for (const OptionInfo& info : Options::Describe()) {
    const std::string name(info.name);
    EngineFlag& flag = engine_flags_[name];
    flag.is_switch = info.value_name.empty();
    if (flag.is_switch) {
      flag.option = app_.add_flag("--" + name + ",!--no-" + name, flag.is_on);
    } else {
      flag.option = app_.add_option("--" + name, flag.values)->allow_extra_args(false);
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

void CommandLine::AddPositionalModel() {
  app_.add_option("MODEL", positional_models_, "The same as --model.")
      ->type_name("")
      ->group("Model");
}

std::optional<int> CommandLine::Parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv, argv + argc);
  std::vector<const char*> pointers;
  for (std::string& argument : arguments) {
    UseDashes(argument);
    pointers.push_back(argument.c_str());
  }
  for (CLI::Option* option : app_.get_options({})) {
    // Of a flag that is given twice the last value counts.
    if (option->get_items_expected_max() == 1) option->take_last();
  }
  try {
    app_.allow_extras(false);
    app_.parse(argc, pointers.data());
    std::string wrong;
    for (const std::string& word : positional_models_) {
      if (word == "true" || word == "false") {
        wrong = "unexpected argument '" + word + "'; a switch has no value: --NAME or --no-NAME";
      }
    }
    if (wrong.empty()) wrong = EngineOptions("").status().message();
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
  } catch (const CLI::ParseError& error) {
    std::cerr << app_.get_name() << ": " << ExplainValue(app_, error) << "\n";
  }
  return 2;
}

std::vector<std::string> CommandLine::EngineValues(const std::string& name) const {
  std::vector<std::string> values;
  const auto it = engine_flags_.find(name);
  if (it != engine_flags_.end() && it->second.option->count() > 0) {
    const EngineFlag& flag = it->second;
    values = flag.is_switch ? std::vector<std::string>{flag.is_on ? "true" : "false"} : flag.values;
    const bool has_none = values.empty() || values.back().empty();
    if (flag.needs_no_value && has_none) values = {"true"};  // --trust-remote-code alone
  }
  if (name == "model") {
    values.insert(values.end(), positional_models_.begin(), positional_models_.end());
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

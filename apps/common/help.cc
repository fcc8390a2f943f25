#include "apps/common/help.h"

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"

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

}  // namespace

std::shared_ptr<CLI::Formatter> NewHelpFormatter() { return std::make_shared<HelpFormatter>(); }

std::string FirstSentence(const std::string& text) {
  const size_t end = std::min(text.find(". "), text.find("\n"));
  std::string sentence = text.substr(0, end);
  if (sentence.ends_with('.')) sentence.pop_back();
  return sentence;
}

}  // namespace keel::apps

// How an app's flags are explained.
#ifndef KEEL_APPS_COMMON_HELP_H_
#define KEEL_APPS_COMMON_HELP_H_

#include <memory>
#include <string>

#include "CLI/App.hpp"

namespace keel::apps {

// Writes the short help and, for CLI11's "all help", the long one with explanations and all names.
std::shared_ptr<CLI::Formatter> NewHelpFormatter();

// `text` up to the end of its first sentence, without the full stop.
std::string FirstSentence(const std::string& text);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_HELP_H_

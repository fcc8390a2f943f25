// The flags of keel-validate.
#ifndef KEEL_APPS_VALIDATE_FLAGS_H_
#define KEEL_APPS_VALIDATE_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "core/conformance/kit.h"

namespace keel::apps {

struct ValidateFlags {
  conformance::KitOptions kit;
  std::string json, junit, manifest;       // files to write; "": none
  std::vector<std::string> architectures;  // that the plugin must serve, no more and no less
  bool list = false;                       // print the requirements and no more
};

// Fills `flags`, or gives the code to exit with: help was printed, or what is wrong is on stderr.
std::optional<int> ParseValidateFlags(int argc, const char* const* argv, ValidateFlags* flags);

}  // namespace keel::apps

#endif  // KEEL_APPS_VALIDATE_FLAGS_H_

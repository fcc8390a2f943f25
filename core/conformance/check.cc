#include "core/conformance/check.h"

#include <array>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace keel::conformance {
namespace {

constexpr std::array<std::pair<Outcome, absl::string_view>, 5> kNames = {{
    {Outcome::kPass, "pass"},
    {Outcome::kFail, "fail"},
    {Outcome::kWarn, "warn"},
    {Outcome::kCrash, "crash"},
    {Outcome::kSkip, "skip"},
}};

}  // namespace

absl::string_view OutcomeName(Outcome outcome) {
  for (const auto& [value, name] : kNames) {
    if (value == outcome) return name;
  }
  return "";
}

std::optional<Outcome> OutcomeFromName(absl::string_view name) {
  for (const auto& [value, text] : kNames) {
    if (text == name) return value;
  }
  return std::nullopt;
}

void Trying(absl::string_view what) {
  const std::string line = absl::StrCat(kTrying, what, "\n");
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace keel::conformance

#include "core/conformance/config_checks.h"

#include <boost/json/object.hpp>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/config/config_view.h"
#include "core/conformance/mutations.h"
#include "core/conformance/subject.h"
#include "core/plugin/interfaces.h"
#include "core/plugin/requirements.h"

namespace keel::conformance {
namespace {

constexpr int kFuzzRounds = 300;

// Takes the model through a wrong config, as far as it goes. That it refuses or serves it is one;
// the process and the host's view of the plugin must stay whole.
absl::Status Survive(const ModelUnderTest& model, const Mutation& mutation) {
  Trying(mutation.what);
  return Record(model, mutation.config).status();
}

// An exception is caught by the host, and breaks the plugin's contract all the same.
bool LetAnExceptionOut(const absl::Status& status) {
  constexpr int kNoException = 35;
  for (const int number : BrokenRequirements(status.message())) {
    if (number == kNoException) return true;
  }
  return false;
}

Finding Escaped(const Mutation& mutation, const absl::Status& status) {
  return Fail(absl::StrCat(mutation.what, ": ", status.message()));
}

}  // namespace

Finding CheckTakesItsConfigs(const Subject& subject) {
  return ForEachModel(
      subject, Interfaces(),
      [](ModelUnderTest& model) {
        ConfigDocument document(model.config, "config.json");
        const absl::Status status = RecordSpec(model.source, document).status();
        return status.ok() ? Pass() : Fail(std::string(status.message()));
      },
      /*unserved_fails=*/true);
}

Finding CheckSameSpec(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    std::string first;
    for (int round = 0; round < 3; ++round) {
      ConfigDocument document(model.config, "config.json");
      const auto spec = RecordSpec(model.source, document);
      if (!spec.ok() && round == 0) return Skip(std::string(spec.status().message()));
      if (!spec.ok()) return Fail(absl::StrCat("once OK, then: ", spec.status().message()));
      const std::string text = spec->SerializeAsString();
      if (round > 0 && text != first) {
        return Fail(
            "config states another spec when it is asked again; it must depend on the "
            "config alone");
      }
      first = text;
    }
    return Pass();
  });
}

Finding CheckMissingKeys(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    for (const Mutation& mutation : WithoutEachKey(model.config)) {
      const absl::Status status = Survive(model, mutation);
      if (LetAnExceptionOut(status)) return Escaped(mutation, status);
    }
    return Pass();
  });
}

Finding CheckOtherValues(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    for (size_t place = 0;; ++place) {
      const std::vector<Mutation> mutations = WithOtherValues(model.config, place);
      if (mutations.empty()) return Pass();
      for (const Mutation& mutation : mutations) {
        const absl::Status status = Survive(model, mutation);
        if (LetAnExceptionOut(status)) return Escaped(mutation, status);
      }
    }
  });
}

Finding CheckConfigFuzz(const Subject& subject) {
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    std::mt19937_64 random(subject.seed);
    for (int round = 0; round < kFuzzRounds; ++round) {
      Mutation mutation = Mutate(model.config, random);
      mutation.what = absl::StrCat("seed ", subject.seed, ", round ", round, ": ", mutation.what);
      const absl::Status status = Survive(model, mutation);
      if (LetAnExceptionOut(status)) return Escaped(mutation, status);
    }
    return Pass();
  });
}

Finding CheckSaysWhy(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    for (const Mutation& mutation : WithTrueAtEachPlace(model.config)) {
      const absl::Status status = Survive(model, mutation);
      if (!absl::StrContains(status.message(), "and no message")) continue;
      return Fail(absl::StrCat("refuses a config whose ", mutation.what,
                               ", and does not say why: ", status.message()));
    }
    return Pass();
  });
}

}  // namespace keel::conformance

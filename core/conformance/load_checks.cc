// Group L: what only a kit looks at while a plugin is loaded and unloaded.
#include "core/conformance/load_checks.h"

#include <malloc.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/conformance/process_state.h"
#include "core/conformance/subject.h"
#include "core/plugin/interfaces.h"

namespace keel::conformance {
namespace {

constexpr const char* kInterfaceIds[] = {"keel.models/1", "keel.attention/1", "keel.kernels/1",
                                         "keel.processors/1"};

// A skip with the reason why the plugin does not load.
Finding NotLoaded(const absl::Status& status) {
  return Skip(absl::StrCat("does not load: ", status.message()));
}

std::vector<std::string> UnknownIds(uint64_t seed) {
  std::vector<std::string> ids = {"", "keel", "keel.future/1", std::string(100000, 'x')};
  for (const char* id : kInterfaceIds) {
    const std::string known = id;
    ids.push_back(known + "x");
    ids.push_back(known.substr(0, known.size() - 1));
    ids.push_back(known.substr(0, known.size() - 1) + "2");
    ids.push_back(" " + known);
  }
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100; ++i) {
    std::string id;
    for (int n = static_cast<int>(random() % 40); n > 0; --n) {
      id.push_back(static_cast<char>(1 + random() % 255));
    }
    ids.push_back(std::move(id));
  }
  return ids;
}

// What an instance of the plugin makes of each config, or why it does not load.
std::string Made(const Subject& subject) {
  std::string made = std::string(LoadPlugin(subject, Interfaces()).status().message());
  ForEachModel(subject, [&](ModelUnderTest& model) {
    const Stages stages = Record(model);
    absl::StrAppend(&made, stages.status().ToString(), DeclarationBytes(stages.model.graph),
                    FunctionBytes(stages.model.graph));
    return Pass();
  });
  return made;
}

}  // namespace

Finding CheckUnknownIds(const Subject& subject) {
  const auto plugin = LoadPlugin(subject, Interfaces());
  if (!plugin.ok()) return NotLoaded(plugin.status());
  for (const std::string& id : UnknownIds(subject.seed)) {
    const std::string shown = PluginText(id.data(), std::min<size_t>(id.size(), 60));
    Trying(absl::StrCat("get_interface(\"", shown, "\")"));
    if ((*plugin)->descriptor()->get_interface((*plugin)->self(), id.c_str()) == nullptr) continue;
    return Fail(absl::StrCat("get_interface(\"", shown,
                             "\") gives a pointer, expected NULL for an id that it does not know"));
  }
  return Pass();
}

Finding CheckReload(const Subject& subject) {
  constexpr int kRounds = 40, kWarm = 10;
  // Of malloc, a load; and of pages, all in all, which come and go.
  constexpr int64_t kAllowedHeap = 1 << 10, kAllowedPages = 1 << 20;
  int64_t heap = 0, pages = 0;
  for (int round = 0; round < kRounds; ++round) {
    Trying(absl::StrCat("load and unload, round ", round + 1));
    auto plugin = LoadPlugin(subject, Interfaces());
    if (!plugin.ok() && round == 0) return NotLoaded(plugin.status());
    if (!plugin.ok()) {
      return Fail(absl::StrCat("loads once, but not again: ", plugin.status().message()));
    }
    plugin->reset();
    if (round == kWarm) heap = HeapBytes(), pages = (malloc_trim(0), ResidentBytes());
  }
  const int64_t lost = (HeapBytes() - heap) / (kRounds - 1 - kWarm);
  malloc_trim(0);
  const int64_t grown = ResidentBytes() - pages;
  const std::string took =
      absl::StrCat(lost, " bytes a load stay with malloc, the process grew by ", grown >> 10,
                   " KiB in ", kRounds - 1 - kWarm, " loads");
  if (lost <= kAllowedHeap && grown <= kAllowedPages) return Pass(took);
  return Fail(absl::StrCat(took,
                           "; free in shutdown what init took, and 72 KiB of a libstdc++ that is "
                           "linked statically by __gnu_cxx::__freeres in a destructor of the "
                           "library, as sdk/keel/plugin.h does"));
}

Finding CheckMissingInterfaces(const Subject& subject) {
  constexpr const char* kIds[] = {"keel.config/1", "keel.features/1", "keel.spec/1"};
  constexpr absl::string_view kAll = "any interface";
  std::vector<absl::string_view> left_out(std::begin(kIds), std::end(kIds));
  left_out.push_back(kAll);
  for (const absl::string_view without : left_out) {
    HostInterfaces interfaces;
    for (const char* id : kIds) {
      if (without != kAll && without != id) interfaces.Add(id, Interfaces().Find(id));
    }
    Trying(absl::StrCat("init on a host without ", without));
    const absl::Status status = LoadPlugin(subject, interfaces).status();
    if (absl::StrContains(status.message(), "and no message")) {
      return Fail(absl::StrCat("on a host without ", without, ": ", status.message(),
                               "; say with set_error what is missing"));
    }
  }
  return Pass();
}

Finding CheckProcessSettings(const Subject& subject) {
  const std::map<std::string, std::string> before = ProcessSettings();
  auto plugin = LoadPlugin(subject, Interfaces());
  if (!plugin.ok()) return NotLoaded(plugin.status());
  if (const std::string changed = Difference(before, ProcessSettings()); !changed.empty()) {
    return Fail(absl::StrCat("changed by loading: ", changed));
  }
  plugin->reset();
  if (const std::string changed = Difference(before, ProcessSettings()); !changed.empty()) {
    return Fail(absl::StrCat("changed by unloading: ", changed));
  }
  return Pass();
}

Finding CheckLeftBehind(const Subject& subject) {
  {  // what the host itself keeps from the first time on
    const auto plugin = LoadPlugin(subject, Interfaces());
    if (!plugin.ok()) return NotLoaded(plugin.status());
  }
  const int threads = CountThreads(), files = CountOpenFiles();
  for (int round = 0; round < 3; ++round) {
    const auto plugin = LoadPlugin(subject, Interfaces());
    if (!plugin.ok()) return Fail(std::string(plugin.status().message()));
    const bool may_start = ((*plugin)->descriptor()->flags & KEEL_PLUGIN_OWN_THREADS) != 0;
    if (CountThreads() > threads && !may_start) {
      return Fail("starts a thread without the flag KEEL_PLUGIN_OWN_THREADS");
    }
  }
  if (CountThreads() > threads) return Fail("a thread of its own runs after shutdown; join it");
  if (CountOpenFiles() > files) {
    return Fail(absl::StrCat(CountOpenFiles() - files, " files are open after 3 shutdowns"));
  }
  return Pass();
}

Finding CheckLoadTime(const Subject& subject) {
  constexpr absl::Duration kLimit = absl::Milliseconds(100);
  absl::Duration best = absl::InfiniteDuration();
  for (int round = 0; round < 3; ++round) {
    const absl::Time start = absl::Now();
    const auto plugin = LoadPlugin(subject, Interfaces());
    if (!plugin.ok()) return NotLoaded(plugin.status());
    best = std::min(best, absl::Now() - start);
  }
  const std::string took = absl::StrCat(absl::ToInt64Microseconds(best), " us");
  return best <= kLimit ? Pass(took) : Fail(absl::StrCat("takes ", took, ", expected 100 ms"));
}

Finding CheckBesideAnother(const Subject& subject) {
  const std::string alone = Made(subject);
  auto other = LoadPlugin(subject, Interfaces());
  if (!other.ok()) return NotLoaded(other.status());
  if (alone != Made(subject)) {
    const absl::Status second = LoadPlugin(subject, Interfaces()).status();
    return Fail(absl::StrCat("a second one in the process ",
                             second.ok() ? "records otherwise" : second.message()));
  }
  const auto later = LoadPlugin(subject, Interfaces());
  other->reset();  // the first goes, the second stays
  if (later.ok() && alone == Made(subject)) return Pass();
  return Fail("does otherwise when another one was unloaded before it");
}

}  // namespace keel::conformance

// Checks plugin files as a host does, for the test that keel_plugin adds to every plugin:
//   check_plugin [--architectures=A,B] FILE ...   discovery, rules, load, note against code, unload
//   check_plugin --manifest FILE                  prints keel_plugin.json for a checkpoint
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/plugin/discovery.h"
#include "core/plugin/loader.h"
#include "core/plugin/trust.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

absl::StatusOr<AuthorizedImage> Authorize(const std::string& file) {
  absl::StatusOr<FoundPlugins> found = DiscoverPlugins({.plugin_paths = {file}});
  if (!found.ok()) return found.status();
  if (found->plugins.size() != 1) return absl::InvalidArgumentError("expected one plugin file");
  return PluginTrust().Authorize(found->plugins[0]);
}

// Tables without functions: enough for init, which must not call them.
const HostInterfaces& EmptyInterfaces() {
  static const HostInterfaces* const interfaces = [] {
    static keel_config_api config = {};
    static keel_spec_api spec = {};
    config.struct_size = sizeof(config);
    spec.struct_size = sizeof(spec);
    auto* made = new HostInterfaces;
    made->Add("keel.config/1", &config);
    made->Add("keel.spec/1", &spec);
    return made;
  }();
  return *interfaces;
}

// Loading is where the host compares the note with the code.
absl::Status LoadAndUnload(const std::string& file) {
  PluginLoader loader(&EmptyInterfaces());
  for (int round = 0; round < 2; ++round) {
    absl::StatusOr<AuthorizedImage> image = Authorize(file);
    if (!image.ok()) return image.status();
    absl::StatusOr<std::shared_ptr<Plugin>> plugin = loader.Load(*std::move(image));
    if (!plugin.ok()) return plugin.status();
    if ((*plugin)->must_stay_loaded()) continue;
    if (const absl::Status status = (*plugin)->Unload(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Check(const std::string& file, std::vector<std::string> architectures) {
  absl::StatusOr<AuthorizedImage> image = Authorize(file);
  if (!image.ok()) return image.status();
  const PluginNote& note = image->ref().note;
  SortNames(architectures);
  if (!architectures.empty() && architectures != note.architectures) {
    return absl::FailedPreconditionError(
        absl::StrCat("serves ", absl::StrJoin(note.architectures, ","),
                     ", its BUILD file says architectures = ", absl::StrJoin(architectures, ",")));
  }
  if (const absl::Status status = LoadAndUnload(file); !status.ok()) return status;
  std::cout << file << ": " << note.id << " " << note.version << ", ABI " << note.abi_major << "."
            << note.abi_minor << ", serves " << absl::StrJoin(note.architectures, ", ") << "\n";
  return absl::OkStatus();
}

boost::json::array ToJson(const std::vector<std::string>& names) {
  return boost::json::array(names.begin(), names.end());
}

absl::Status PrintManifest(const std::string& file) {
  absl::StatusOr<AuthorizedImage> image = Authorize(file);
  if (!image.ok()) return image.status();
  const PluginNote& note = image->ref().note;
#if defined(__x86_64__)
  constexpr char kArch[] = "x86_64";
#else
  constexpr char kArch[] = "aarch64";
#endif
  std::cout << boost::json::object{
                   {"id", note.id},
                   {"version", note.version},
                   {"abi", absl::StrCat(note.abi_major, ".", note.abi_minor)},
                   {"architectures", ToJson(note.architectures)},
                   {"artifacts", {{{"kind", "so"},
                                   {"os", "linux"},
                                   {"arch", kArch},
                                   {"path", image->ref().name},
                                   {"sha256", image->sha256()}}}},
               }
            << "\n";
  return absl::OkStatus();
}

int Main(std::vector<std::string> args) {
  std::vector<std::string> architectures, files;
  bool manifest = false;
  for (absl::string_view arg : args) {
    if (absl::ConsumePrefix(&arg, "--architectures=")) {
      architectures = absl::StrSplit(arg, ',', absl::SkipEmpty());
    } else if (arg == "--manifest") {
      manifest = true;
    } else if (absl::StartsWith(arg, "--")) {
      files.clear();
      break;
    } else {
      files.emplace_back(arg);
    }
  }
  if (files.empty()) {
    std::cerr << "usage: check_plugin [--manifest] [--architectures=A,B] FILE ...\n";
    return 2;
  }
  int failed = 0;
  for (const std::string& file : files) {
    const absl::Status status = manifest ? PrintManifest(file) : Check(file, architectures);
    if (status.ok()) continue;
    std::cerr << file << ": " << status.message() << "\n";
    ++failed;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) { return keel::Main({argv + 1, argv + argc}); }

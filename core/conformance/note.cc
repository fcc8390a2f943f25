#include "core/conformance/note.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/plugin/discovery.h"
#include "core/plugin/note.h"
#include "core/plugin/trust.h"

namespace keel::conformance {
namespace {

absl::StatusOr<AuthorizedImage> Read(const std::string& plugin) {
  KEEL_ASSIGN_OR_RETURN(const FoundPlugins found, DiscoverPlugins({.plugin_paths = {plugin}}));
  if (found.plugins.size() != 1) return absl::InvalidArgumentError("expected one plugin file");
  return PluginTrust().Authorize(found.plugins[0]);
}

}  // namespace

absl::Status CheckArchitectures(const std::string& plugin, std::vector<std::string> expected) {
  KEEL_ASSIGN_OR_RETURN(const AuthorizedImage image, Read(plugin));
  const std::vector<std::string>& served = image.ref().note.architectures;
  SortNames(expected);
  if (served == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(plugin, ": serves ", absl::StrJoin(served, ","),
                                                    ", --architectures says ",
                                                    absl::StrJoin(expected, ",")));
}

absl::StatusOr<std::string> CheckpointManifest(const std::string& plugin) {
  KEEL_ASSIGN_OR_RETURN(const AuthorizedImage image, Read(plugin));
  const PluginNote& note = image.ref().note;
#if defined(__x86_64__)
  constexpr char kArch[] = "x86_64";
#else
  constexpr char kArch[] = "aarch64";
#endif
  const boost::json::object manifest = {
      {"id", note.id},
      {"version", note.version},
      {"abi", absl::StrCat(note.abi_major, ".", note.abi_minor)},
      {"architectures", boost::json::array(note.architectures.begin(), note.architectures.end())},
      {"artifacts",
       {{{"kind", "so"},
         {"os", "linux"},
         {"arch", kArch},
         {"path", image.ref().name},
         {"sha256", image.sha256()}}}},
  };
  return absl::StrCat(boost::json::serialize(manifest), "\n");
}

}  // namespace keel::conformance

#include "tests/recorded/open_processor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/plugin/catalog.h"
#include "core/plugin/discovery.h"
#include "tests/recorded/recording.h"

namespace keel {

absl::StatusOr<std::unique_ptr<ProcessorUnderTest>> OpenProcessor(
    const std::string& plugin, const std::string& name, const std::string& dir,
    const std::map<std::string, int64_t>& tokens) {
  KEEL_ASSIGN_OR_RETURN(FoundPlugins found, DiscoverPlugins({.plugin_paths = {plugin}}));
  const PluginCatalog catalog(std::move(found), RemoteCodePolicy::Mode::kNone);
  KEEL_ASSIGN_OR_RETURN(const PluginRef* ref, catalog.FindProcessor(name));
  if (ref == nullptr) return absl::NotFoundError(absl::StrCat("no note lists ", name));
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> opened, OpenPlugin(*ref));
  const keel_processor_class* processor = opened->FindProcessor(name);
  if (processor == nullptr) return absl::NotFoundError(absl::StrCat("no class ", name));
  return ProcessorUnderTest::Create(std::move(opened), processor, dir,
                                    [tokens](const std::string& token) {
                                      const auto id = tokens.find(token);
                                      return id == tokens.end() ? int64_t{-1} : id->second;
                                    });
}

}  // namespace keel

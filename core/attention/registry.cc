#include "core/attention/registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/attention/eager.h"
#include "core/attention/paged.h"
#include "core/attention/plugin_attention.h"
#include "core/attention/sdpa.h"

namespace keel {

AttentionRegistry::AttentionRegistry() {
  by_name_["eager"] = std::make_shared<EagerAttention>();
  by_name_["sdpa"] = std::make_shared<SdpaAttention>();
  by_name_["paged"] = std::make_shared<PagedCacheAttention>();
}

absl::Status AttentionRegistry::Register(std::string name,
                                         std::shared_ptr<const AttentionImplementation> impl) {
  if (name.empty()) return absl::InvalidArgumentError("an attention implementation without a name");
  if (!by_name_.emplace(name, std::move(impl)).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("attention implementation \"", name, "\" is registered already"));
  }
  return absl::OkStatus();
}

absl::Status AttentionRegistry::RegisterPlugin(const keel_attention_class* attention, void* plugin,
                                               PluginCall call) {
  if (attention == nullptr || !KEEL_HAS(attention, keel_attention_class, name) ||
      !KEEL_HAS(attention, keel_attention_class, prepare) ||
      !KEEL_HAS(attention, keel_attention_class, run) ||
      !KEEL_HAS(attention, keel_attention_class, release)) {
    return absl::InvalidArgumentError(
        "an attention class needs a name, prepare, run and release; one of them is missing");
  }
  return Register(attention->name,
                  std::make_shared<PluginAttention>(attention, plugin, std::move(call)));
}

absl::StatusOr<std::shared_ptr<const AttentionImplementation>> AttentionRegistry::Find(
    absl::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return absl::NotFoundError(absl::StrCat("no attention implementation \"", name,
                                            "\"; there are ", absl::StrJoin(names(), ", ")));
  }
  return found->second;
}

bool AttentionRegistry::Contains(absl::string_view name) const {
  return by_name_.find(name) != by_name_.end();
}

bool AttentionRegistry::IsHosts(absl::string_view name) const {
  for (const char* host : kHosts) {
    if (name == host) return true;
  }
  return false;
}

std::vector<std::string> AttentionRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, impl] : by_name_) names.push_back(name);
  return names;
}

}  // namespace keel

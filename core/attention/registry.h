// Attention implementations by name, as `_attn_implementation` and --attention-implementation say
// them; choose.h picks one.
#ifndef KEEL_CORE_ATTENTION_REGISTRY_H_
#define KEEL_CORE_ATTENTION_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/attention/attention.h"
#include "core/base/plugin_call.h"

namespace keel {

// Filled at start-up, then read by any thread.
class AttentionRegistry {
 public:
  static constexpr const char* kHosts[] = {"paged", "sdpa", "eager"};  // in order of preference

  // With the host's own.
  AttentionRegistry();

  // kAlreadyExists if the name is taken.
  absl::Status Register(std::string name, std::shared_ptr<const AttentionImplementation> impl);

  // A plugin's class; it and `plugin` must outlive this. `call` may be empty.
  absl::Status RegisterPlugin(const keel_attention_class* attention, void* plugin, PluginCall call);

  // kNotFound lists the names there are.
  absl::StatusOr<std::shared_ptr<const AttentionImplementation>> Find(absl::string_view name) const;
  bool Contains(absl::string_view name) const;
  bool IsHosts(absl::string_view name) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, std::shared_ptr<const AttentionImplementation>, std::less<>> by_name_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_REGISTRY_H_

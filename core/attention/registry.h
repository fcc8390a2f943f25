// Attention implementations by name, as `_attn_implementation` and --attention-implementation say
// them.
#ifndef KEEL_CORE_ATTENTION_REGISTRY_H_
#define KEEL_CORE_ATTENTION_REGISTRY_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/attention/attention.h"

namespace keel {

// Filled at start-up, then read by any thread.
class AttentionRegistry {
 public:
  // With the host's own: eager, sdpa, paged.
  AttentionRegistry();

  // kAlreadyExists if the name is taken.
  absl::Status Register(std::string name, std::shared_ptr<const AttentionImplementation> impl);

  // A plugin's class; it and `plugin` must outlive this. `explain` turns a failed call's status
  // into an error with the plugin's own message.
  absl::Status RegisterPlugin(const keel_attention_class* attention, void* plugin,
                              std::function<absl::Status(keel_status)> explain);

  // kNotFound lists the names there are.
  absl::StatusOr<std::shared_ptr<const AttentionImplementation>> Find(absl::string_view name) const;
  bool Contains(absl::string_view name) const;
  bool IsHosts(absl::string_view name) const;  // eager, sdpa, paged
  std::vector<std::string> names() const;

  // The implementation that `use` gets. In order: what the model insists on (desc->impl), `wanted`,
  // and if both are empty the first of paged, sdpa, eager that supports it. One that was named and
  // lacks something is refused, never replaced.
  absl::StatusOr<std::shared_ptr<const AttentionImplementation>> Choose(
      const AttentionUse& use, absl::string_view wanted) const;

  // The same among those whose result for a query has the same bits whatever other queries are in the
  // step: a form of paged. Any other that was named is refused.
  absl::StatusOr<std::shared_ptr<const AttentionImplementation>> ChooseInvariant(
      const AttentionUse& use, absl::string_view wanted) const;

 private:
  const std::shared_ptr<const AttentionImplementation> invariant_;
  std::map<std::string, std::shared_ptr<const AttentionImplementation>, std::less<>> by_name_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_REGISTRY_H_

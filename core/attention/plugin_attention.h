// An attention class of a plugin as an implementation of the host's interface.
#ifndef KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_
#define KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/attention/attention.h"
#include "core/base/plugin_call.h"

namespace keel {

class PluginAttention : public AttentionImplementation {
 public:
  // `call` may be empty.
  PluginAttention(const keel_attention_class* attention, void* plugin, PluginCall call);

  absl::Status Supports(const AttentionUse& use) const override;
  // Errors: the plugin's, and kFailedPrecondition for a cache that no host could keep.
  absl::StatusOr<std::unique_ptr<AttentionInstance>> Prepare(
      const AttentionUse& use) const override;
  bool is_invariant() const override { return class_->flags & KEEL_KERNEL_INVARIANT; }

 private:
  const keel_attention_class* class_;
  void* plugin_;
  const PluginCall call_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_

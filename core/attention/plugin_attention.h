// An attention class of a plugin as an implementation of the host's interface.
#ifndef KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_
#define KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_

#include "absl/functional/function_ref.h"
#include "core/attention/attention.h"
#include "core/base/plugin_call.h"

namespace keel {

class PluginAttention : public AttentionImplementation {
 public:
  // `call` may be empty.
  PluginAttention(const keel_attention_class* attention, void* plugin, PluginCall call);

  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;

 private:
  absl::Status Call(const char* function, absl::FunctionRef<keel_status()> call) const;

  const keel_attention_class* class_;
  void* plugin_;
  const PluginCall call_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_

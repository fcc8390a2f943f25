// An attention class of a plugin as an implementation of the host's interface.
#ifndef KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_
#define KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_

#include <functional>

#include "core/attention/attention.h"

namespace keel {

class PluginAttention : public AttentionImplementation {
 public:
  // `explain` may be null.
  PluginAttention(const keel_attention_class* attention, void* plugin,
                  std::function<absl::Status(keel_status)> explain);

  absl::Status Supports(const AttentionUse& use) const override;
  absl::Status Run(const AttentionCall& call) const override;

 private:
  absl::Status Explain(keel_status status, const char* function) const;

  const keel_attention_class* class_;
  void* plugin_;
  std::function<absl::Status(keel_status)> explain_;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_PLUGIN_ATTENTION_H_

// Keys of config.json that no family needs to read.
#ifndef KEEL_CORE_CONFIG_GENERIC_KEYS_H_
#define KEEL_CORE_CONFIG_GENERIC_KEYS_H_

#include "absl/strings/string_view.h"

namespace keel {

// True for what the host reads itself (rope, dtype, token ids), what transformers' PreTrainedConfig
// writes for every model, and what only training or Python's own kernels ask for. A key that is
// neither among these nor asked for by the plugin may change the model's mathematics.
bool IsGenericKey(absl::string_view key);

}  // namespace keel
#endif  // KEEL_CORE_CONFIG_GENERIC_KEYS_H_

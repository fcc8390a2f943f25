// How the inputs of several items of media are put together for one call of an encoder: KEEL_MERGE_* of sdk/abi/plugin.h.
#ifndef KEEL_CORE_CONFIG_MERGE_RULE_H_
#define KEEL_CORE_CONFIG_MERGE_RULE_H_

#include "absl/status/status.h"
#include "core/config/model_spec.pb.h"

namespace keel {

// Whether the rule of `input` fits its graph, its type and its dimensions. INVALID_ARGUMENT names the input.
absl::Status CheckMergeRule(const proto::ModelSpec::Input& input);

}  // namespace keel

#endif  // KEEL_CORE_CONFIG_MERGE_RULE_H_

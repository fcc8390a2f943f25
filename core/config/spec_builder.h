// Collects what a plugin's config function states: the host's side of the interface "keel.spec/1".
#ifndef KEEL_CORE_CONFIG_SPEC_BUILDER_H_
#define KEEL_CORE_CONFIG_SPEC_BUILDER_H_

#include "absl/status/status.h"
#include "core/config/model_spec.pb.h"
#include "sdk/abi/plugin.h"

struct keel_spec {
  keel::proto::ModelSpec spec;
  absl::Status status;
};

namespace keel {

// A spec with the defaults that plugin.h states.
keel_spec NewSpec();

// What must hold once config has returned: required fields are there and make sense.
absl::Status CheckSpec(const keel_spec& spec);

// The table behind "keel.spec/1".
const keel_spec_api& SpecApi();

}  // namespace keel
#endif  // KEEL_CORE_CONFIG_SPEC_BUILDER_H_

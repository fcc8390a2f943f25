// Group C: what a plugin makes of configs, its own and wrong ones.
#ifndef KEEL_CORE_CONFORMANCE_CONFIG_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_CONFIG_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckTakesItsConfigs(const Subject& subject);
Finding CheckSameSpec(const Subject& subject);
Finding CheckMissingKeys(const Subject& subject);
Finding CheckOtherValues(const Subject& subject);
Finding CheckConfigFuzz(const Subject& subject);
Finding CheckSaysWhy(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_CONFIG_CHECKS_H_

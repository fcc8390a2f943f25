// What the loader enforces, requirement by requirement.
#ifndef KEEL_CORE_CONFORMANCE_STATIC_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_STATIC_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

// What the file breaks of a requirement that is enforced from its bytes. Runs none of it.
Finding CheckFile(const Subject& subject, int number);
// The same for one that is enforced while loading; loads the plugin.
Finding CheckLoading(const Subject& subject, int number);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_STATIC_CHECKS_H_

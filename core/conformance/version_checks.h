// Group V: the plugin on hosts that are older and newer than this one.
#ifndef KEEL_CORE_CONFORMANCE_VERSION_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_VERSION_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckOldestHost(const Subject& subject);
Finding CheckFutureHost(const Subject& subject);
Finding CheckNullEntries(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_VERSION_CHECKS_H_

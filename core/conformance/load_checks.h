// Group L, what the loader does not look at itself.
#ifndef KEEL_CORE_CONFORMANCE_LOAD_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_LOAD_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckUnknownIds(const Subject& subject);
Finding CheckReload(const Subject& subject);
Finding CheckMissingInterfaces(const Subject& subject);
Finding CheckProcessSettings(const Subject& subject);
Finding CheckLeftBehind(const Subject& subject);
Finding CheckLoadTime(const Subject& subject);
Finding CheckBesideAnother(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_LOAD_CHECKS_H_

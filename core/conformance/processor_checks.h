// Group P: processors of a plugin's own, with media of many sizes.
#ifndef KEEL_CORE_CONFORMANCE_PROCESSOR_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_PROCESSOR_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckProcessorCounts(const Subject& subject);
Finding CheckProcessorRows(const Subject& subject);
Finding CheckProcessorItems(const Subject& subject);
Finding CheckProcessorThreads(const Subject& subject);
Finding CheckProcessorPlaceholders(const Subject& subject);
Finding CheckProcessorSizes(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_PROCESSOR_CHECKS_H_

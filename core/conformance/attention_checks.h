// Group A: attention classes of a plugin's own, over caches and steps as a host has them.
#ifndef KEEL_CORE_CONFORMANCE_ATTENTION_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_ATTENTION_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckAttentionServes(const Subject& subject);
Finding CheckAttentionNumbers(const Subject& subject);
Finding CheckAttentionForeignKeys(const Subject& subject);
Finding CheckAttentionPlacement(const Subject& subject);
Finding CheckAttentionBorders(const Subject& subject);
Finding CheckAttentionBits(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_ATTENTION_CHECKS_H_

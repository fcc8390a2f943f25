// What this host offers plugins while they describe a model: keel.config/1 and keel.spec/1.
#ifndef KEEL_CORE_PLUGIN_INTERFACES_H_
#define KEEL_CORE_PLUGIN_INTERFACES_H_

#include "core/plugin/host.h"

namespace keel {

// Lives as long as the process.
const HostInterfaces& Interfaces();

}  // namespace keel
#endif  // KEEL_CORE_PLUGIN_INTERFACES_H_

// The body of keel-jail: one plugin, requests from the host answered in turn.
#ifndef KEEL_CORE_REMOTE_JAIL_SERVICE_H_
#define KEEL_CORE_REMOTE_JAIL_SERVICE_H_

#include <string>

#include "core/base/file_descriptor.h"
#include "core/remote/jail.h"

namespace keel {

// Enters the jail, then maps the plugin that is in the sealed memfd `plugin`, when a request needs
// it, and answers on `channel` until the host closes it. Returns the exit status; why the jail could
// not be entered is on stderr.
int RunJail(int channel, FileDescriptor plugin, const std::string& plugin_name,
            const JailLimits& limits);

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_JAIL_SERVICE_H_

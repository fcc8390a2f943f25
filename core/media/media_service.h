// The body of keel-media.
#ifndef KEEL_CORE_MEDIA_MEDIA_SERVICE_H_
#define KEEL_CORE_MEDIA_MEDIA_SERVICE_H_

#include "core/remote/jail.h"

namespace keel {

// Locks this process into a jail and answers requests (media.proto) that come by descriptor `channel`
// until the host closes it. Returns the exit status.
int RunMediaService(int channel, const JailLimits& limits);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_MEDIA_SERVICE_H_

// The server's flags about files and batches.
#ifndef KEEL_APPS_SERVER_OFFLINE_FLAGS_H_
#define KEEL_APPS_SERVER_OFFLINE_FLAGS_H_

#include "apps/common/command_line.h"
#include "apps/server/offline_jobs.h"

namespace keel::apps {

void AddOfflineFlags(CommandLine& command_line, OfflineOptions* options);
// Fills in, once flags are parsed, what they did not say.
void CompleteOfflineFlags(const CommandLine& command_line, OfflineOptions* options);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_OFFLINE_FLAGS_H_

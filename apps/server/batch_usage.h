// What the answers of a batch took, counted together.
#ifndef KEEL_APPS_SERVER_BATCH_USAGE_H_
#define KEEL_APPS_SERVER_BATCH_USAGE_H_

#include <string>

#include "apps/server/store/batch.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Of the answers in an output file, whatever their endpoint; of none if there is no file.
Result<BatchUsage> UsageOf(const std::string& path);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_BATCH_USAGE_H_

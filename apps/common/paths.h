// Where an app finds what it was started for.
#ifndef KEEL_APPS_COMMON_PATHS_H_
#define KEEL_APPS_COMMON_PATHS_H_

#include <string>

namespace keel::apps {

// The directory of the demo model that ships with this binary, absolute; "" if it is not there.
// `argv0` is main's. Call before EnterUsersDirectory.
std::string FindDemoModel(const char* argv0);

// Under `bazel run` the process starts elsewhere: goes where the user is, so that relative paths mean
// what the user means.
void EnterUsersDirectory();

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_PATHS_H_

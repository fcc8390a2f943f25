// How many processors this process may keep busy: what a pool of threads is sized by.
#ifndef KEEL_CORE_BASE_ALLOWED_CPUS_H_
#define KEEL_CORE_BASE_ALLOWED_CPUS_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace keel {

// Processors that the affinity mask holds, or fewer where a control group's quota (`docker run --cpus`,
// a pod's limit) gives less time: whoever spins beyond it is stopped for the rest of each period. A
// quota of 2.5 counts as 2. At least 1. Reads files: ask once.
int AllowedCpus();

// The least CPU time a second, in processors, that a group of `groups` (the text of /proc/self/cgroup)
// or one above it may use; unset without a quota. `root` is where control groups are mounted:
// cpu.max of version 2, cpu/cpu.cfs_quota_us of version 1.
std::optional<double> CgroupCpuQuota(absl::string_view groups, const std::string& root);

}  // namespace keel

#endif  // KEEL_CORE_BASE_ALLOWED_CPUS_H_

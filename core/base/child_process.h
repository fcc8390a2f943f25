// Running another program with one input and waiting for its end.
#ifndef KEEL_CORE_BASE_CHILD_PROCESS_H_
#define KEEL_CORE_BASE_CHILD_PROCESS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace keel {

struct ChildResult {
  std::string output;      // the last 64 KiB it wrote on stdout and stderr
  bool timed_out = false;  // and was killed
  // As waitpid gave it; -1 if the embedding process takes its children's statuses itself.
  int wait_status = -1;
};

// Runs the file `program` with `args`, `input` readable as its descriptor 3, and waits for its end,
// at most `wall_limit`. No other descriptor of this process reaches it, and of the environment only
// LD_LIBRARY_PATH. Limits of memory and CPU time are for the program to set. Thread-safe, and
// threads of this process are not disturbed: posix_spawn, no handler, no waiting for children of
// others. kInternal if the program cannot be started.
absl::StatusOr<ChildResult> RunChild(const std::string& program,
                                     const std::vector<std::string>& args, const std::string& input,
                                     absl::Duration wall_limit);

}  // namespace keel

#endif  // KEEL_CORE_BASE_CHILD_PROCESS_H_

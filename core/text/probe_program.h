// Where the program keel-text-probe is, and running it.
#ifndef KEEL_CORE_TEXT_PROBE_PROGRAM_H_
#define KEEL_CORE_TEXT_PROBE_PROGRAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace keel {

// `program` if it is not empty; else the first that exists of the places that ProbeOptions::program
// names. kNotFound lists what was looked at.
absl::StatusOr<std::string> FindProbeProgram(const std::string& program);

struct ChildResult {
  std::string output;      // the last 64 KiB it wrote on stdout and stderr
  bool timed_out = false;  // and was killed
  // As waitpid gave it; -1 if the embedding process takes its children's statuses itself.
  int wait_status = -1;
};

// Runs `program` with `args`, `input` readable as its descriptor 3, and waits for its end. No other
// descriptor of this process reaches it. Threads of this process are not disturbed:
// posix_spawn, no handler, no waiting for children of others.
absl::StatusOr<ChildResult> RunChild(const std::string& program,
                                     const std::vector<std::string>& args, const std::string& input,
                                     absl::Duration wall_limit);

}  // namespace keel

#endif  // KEEL_CORE_TEXT_PROBE_PROGRAM_H_

// The jail: what a process gives up before it runs a plugin, or reads a graph file, that nobody
// vouches for.
#ifndef KEEL_CORE_REMOTE_JAIL_H_
#define KEEL_CORE_REMOTE_JAIL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/plugin/trust.h"

namespace keel {

struct JailLimits {
  int64_t memory_bytes = int64_t{1} << 30;  // of address space
  int64_t cpu_seconds = 5;                  // the parent may raise it (JailedPlugin)
};

// A process that holds one can compute in the memory that it has, read and write the descriptors
// that it was started with, and do nothing else, for ever:
//   rlimits    memory, CPU time, no files written, no core dumps, few descriptors
//   landlock   no file can be opened by its path; a memfd by /proc/self/fd/N can
//   seccomp    a list of allowed system calls; any other ends the process with
//              "denied system call N" on stderr and exit status kDenied
// Constructors of a library run when it is mapped, and raw system calls need no library: that is
// why this comes before, and why nothing about the file itself is a boundary.
class Jail {
 public:
  // Exit statuses.
  static constexpr int kNotEntered = 85;
  static constexpr int kDenied = 86;

  // Locks this process, a single-threaded one. kFailedPrecondition: this kernel has no landlock or
  // refuses a filter; kUnimplemented: a build with a sanitizer, whose runtime needs more than the
  // jail allows. After an error the process is locked in part and should end.
  static absl::StatusOr<Jail> Enter(const JailLimits& limits);

  // For a process that runs no code it was given and reads data, which is bounded and refused by
  // name as well: all of the above that this kernel and this build have. What they lack is left out.
  static void Confine(const JailLimits& limits);

  // Makes the plugin in `fd`, a sealed memfd, one that may be mapped here. Errors as InspectPlugin.
  absl::StatusOr<AuthorizedImage> Admit(FileDescriptor fd, const std::string& name) const;

 private:
  Jail() = default;
};

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_JAIL_H_

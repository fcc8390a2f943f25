// Running another program: with one input until its end, or beside this one.
#ifndef KEEL_CORE_BASE_CHILD_PROCESS_H_
#define KEEL_CORE_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/file_descriptor.h"

namespace keel {

struct ChildResult {
  std::string output;      // the last 64 KiB it wrote on stdout and stderr
  bool timed_out = false;  // and was killed
  // As waitpid gave it; -1 if the embedding process takes its children's statuses itself.
  int wait_status = -1;
};

// A program that runs beside this one. Its stdin is empty, stdout and stderr are a pipe to here. No
// other descriptor of this process reaches it but those that it is given, and of the environment
// only LD_LIBRARY_PATH. Threads of this process are not disturbed: posix_spawn, no handler, no
// waiting for children of others. Move-only, one thread at a time.
class ChildProcess {
 public:
  // Starts the file `program`; `descriptors` are 3, 4 ... there. kInternal if it cannot be started.
  static absl::StatusOr<ChildProcess> Start(const std::string& program,
                                            const std::vector<std::string>& args,
                                            absl::Span<const int> descriptors);
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), output_(std::move(other.output_)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(output_, other.output_);
    return *this;
  }
  ~ChildProcess();  // kills it, if it still runs

  pid_t pid() const { return pid_; }
  // Waits for its end, at most until `deadline`, then kills it. Once.
  ChildResult Finish(absl::Time deadline);

 private:
  ChildProcess(pid_t pid, FileDescriptor output) : pid_(pid), output_(std::move(output)) {}

  pid_t pid_;  // 0: has been waited for
  FileDescriptor output_;
};

// Runs the file `program` as a ChildProcess with `args`, `input` readable as its descriptor 3, and
// waits for its end, at most `wall_limit`. Limits of memory and CPU time are for the program to set.
// Thread-safe. kInternal if the program cannot be started.
absl::StatusOr<ChildResult> RunChild(const std::string& program,
                                     const std::vector<std::string>& args, const std::string& input,
                                     absl::Duration wall_limit);

}  // namespace keel

#endif  // KEEL_CORE_BASE_CHILD_PROCESS_H_

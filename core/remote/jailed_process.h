// A program of Keel's that locks itself into a jail (jail.h), seen from the host: frames go in, frames
// come out, and nothing that happens in there reaches this process but by them.
#ifndef KEEL_CORE_REMOTE_JAILED_PROCESS_H_
#define KEEL_CORE_REMOTE_JAILED_PROCESS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/child_process.h"
#include "core/remote/channel.h"
#include "core/remote/jail.h"

namespace keel {

struct JailOptions {
  // The program. Empty: what its environment variable says, else where
  // core/base/companion_program.h looks.
  std::string program = {};
  absl::Duration wall_limit = absl::Seconds(10);  // of a request
  JailLimits limits = {};                         // CPU time: of a request too
};

// Move-only, one thread at a time; killed by the destructor.
class JailedProcess {
 public:
  // Starts `program` with `args`, a channel to here as descriptor 3 and `files` as 4, 5 ... there.
  // `label` begins errors. kInternal: it can't be started. Whether it can lock itself, the first
  // answer says. `options.program` is not read.
  static absl::StatusOr<JailedProcess> Start(std::string label, const std::string& program,
                                             const std::vector<std::string>& args,
                                             absl::Span<const int> files,
                                             const JailOptions& options);

  // Before each request: allows it CPU time, and tells when it must be answered.
  absl::StatusOr<absl::Time> Begin();
  // As Channel's; what goes wrong is for Ended.
  absl::Status Write(absl::string_view frame, absl::Time deadline) const {
    return channel_.Write(frame, deadline);
  }
  absl::StatusOr<std::string> Read(absl::Time deadline) const {
    return channel_.Read(kMaxFrameBytes, deadline);
  }

  // What became of the process, which gave `error` instead of an answer, or an answer that is none:
  // "<label>: in its jail, it calls socket, which a jail does not allow". kInvalidArgument, for what
  // was given to it made it so; kFailedPrecondition: this machine can't jail, with the reason. It is
  // gone then.
  absl::Status Ended(const absl::Status& error);

  bool is_alive() const { return alive_; }

 private:
  JailedProcess(std::string label, const JailOptions& options, Channel channel, ChildProcess child)
      : label_(std::move(label)),
        wall_limit_(options.wall_limit),
        cpu_seconds_(options.limits.cpu_seconds),
        channel_(std::move(channel)),
        child_(std::move(child)) {}

  std::string HowItDied(int wait_status) const;

  std::string label_;
  absl::Duration wall_limit_;
  int64_t cpu_seconds_;
  Channel channel_;
  ChildProcess child_;
  bool alive_ = true;
};

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_JAILED_PROCESS_H_

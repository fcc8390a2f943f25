// Frames between a host and a jail over a socket pair: a length of four bytes, the least significant
// first, and that many bytes.
#ifndef KEEL_CORE_REMOTE_CHANNEL_H_
#define KEEL_CORE_REMOTE_CHANNEL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/file_descriptor.h"

namespace keel {

// No frame is larger; media of a request must fit.
inline constexpr int64_t kMaxFrameBytes = 256 << 20;

// The host's end: never waits longer than it is told, whatever the other end does.
class Channel {
 public:
  // `other`, the jail's end, is for ChildProcess::Start and is to be closed then.
  static absl::StatusOr<Channel> Open(FileDescriptor* other);

  // kDeadlineExceeded; kUnavailable if the other end is closed.
  absl::Status Write(absl::string_view bytes, absl::Time deadline) const;
  // The same; kInvalidArgument for a frame of more than `max_bytes`. Memory grows with what arrives
  // and not with what the length promises.
  absl::StatusOr<std::string> Read(int64_t max_bytes, absl::Time deadline) const;

 private:
  explicit Channel(FileDescriptor fd) : fd_(std::move(fd)) {}
  absl::Status ReadPart(char* data, size_t n, absl::Time deadline) const;

  FileDescriptor fd_;
};

// The jail's end, with the two system calls that it has. Both wait. Reading gives kUnavailable when
// the host is gone.
absl::StatusOr<std::string> ReadFrame(int fd);
absl::Status WriteFrame(int fd, absl::string_view bytes);

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_CHANNEL_H_

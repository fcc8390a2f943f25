#include "core/remote/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr size_t kPartBytes = 1 << 20;
constexpr int64_t kLongestPollMs = 1 << 30;

std::string Length(size_t n) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(n >> shift & 0xff));
  return bytes;
}

size_t LengthOf(const char* bytes) {
  size_t n = 0;
  for (int i = 0; i < 4; ++i) n |= size_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return n;
}

absl::Status Closed() { return absl::UnavailableError("the other process has ended"); }

// Waits until `fd` is ready for `events`, or closed.
absl::Status Wait(int fd, short events, absl::Time deadline) {  // NOLINT: poll's type
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) return absl::DeadlineExceededError("the other process takes too long");
    pollfd poll_fd = {fd, events, 0};
    const int ready = poll(&poll_fd, 1, static_cast<int>(std::min(left, kLongestPollMs)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
  }
}

bool IsTransient(int error) { return error == EINTR || error == EAGAIN || error == EWOULDBLOCK; }

absl::Status CheckSize(size_t n, int64_t max_bytes) {
  if (n <= static_cast<size_t>(max_bytes)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a message of ", n, " bytes, expected at most ", max_bytes));
}

}  // namespace

absl::StatusOr<Channel> Channel::Open(FileDescriptor* other) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return absl::ErrnoToStatus(errno, "socketpair");
  *other = FileDescriptor(ends[1]);
  return Channel(FileDescriptor(ends[0]));
}

absl::Status Channel::Write(absl::string_view bytes, absl::Time deadline) const {
  KEEL_RETURN_IF_ERROR(CheckSize(bytes.size(), kMaxFrameBytes));
  const std::string length = Length(bytes.size());
  for (absl::string_view part : {absl::string_view(length), bytes}) {
    while (!part.empty()) {
      const ssize_t n = send(fd_.get(), part.data(), part.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0) {
        part.remove_prefix(static_cast<size_t>(n));
      } else if (IsTransient(errno)) {
        KEEL_RETURN_IF_ERROR(Wait(fd_.get(), POLLOUT, deadline));
      } else {
        return Closed();
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Channel::ReadPart(char* data, size_t n, absl::Time deadline) const {
  while (n > 0) {
    const ssize_t got = recv(fd_.get(), data, n, MSG_DONTWAIT);
    if (got > 0) {
      data += got;
      n -= static_cast<size_t>(got);
    } else if (got < 0 && IsTransient(errno)) {
      KEEL_RETURN_IF_ERROR(Wait(fd_.get(), POLLIN, deadline));
    } else {
      return Closed();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Channel::Read(int64_t max_bytes, absl::Time deadline) const {
  char length[4];
  KEEL_RETURN_IF_ERROR(ReadPart(length, sizeof(length), deadline));
  const size_t size = LengthOf(length);
  KEEL_RETURN_IF_ERROR(CheckSize(size, max_bytes));
  std::string bytes;
  while (bytes.size() < size) {
    const size_t begin = bytes.size(), part = std::min(kPartBytes, size - begin);
    bytes.resize(begin + part);
    KEEL_RETURN_IF_ERROR(ReadPart(bytes.data() + begin, part, deadline));
  }
  return bytes;
}

absl::StatusOr<std::string> ReadFrame(int fd) {
  const auto read_all = [fd](char* data, size_t n) {
    while (n > 0) {
      const ssize_t got = read(fd, data, n);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      data += got;
      n -= static_cast<size_t>(got);
    }
    return true;
  };
  char length[4];
  if (!read_all(length, sizeof(length))) return Closed();
  std::string bytes(LengthOf(length), '\0');
  if (!read_all(bytes.data(), bytes.size())) return Closed();
  return bytes;
}

absl::Status WriteFrame(int fd, absl::string_view bytes) {
  KEEL_RETURN_IF_ERROR(CheckSize(bytes.size(), kMaxFrameBytes));
  const std::string length = Length(bytes.size());
  for (absl::string_view part : {absl::string_view(length), bytes}) {
    while (!part.empty()) {
      const ssize_t n = write(fd, part.data(), part.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Closed();
      part.remove_prefix(static_cast<size_t>(n));
    }
  }
  return absl::OkStatus();
}

}  // namespace keel

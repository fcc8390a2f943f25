#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/capi/handles.h"

namespace keel {

absl::StatusOr<std::shared_ptr<OutputQueue>> OutputQueue::WithEventFd(Engine& engine) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no event descriptor: ", std::strerror(errno)));
  }
  auto queue = std::make_shared<OutputQueue>(engine);
  queue->event_fd_ = fd;
  return queue;
}

OutputQueue::~OutputQueue() {
  if (event_fd_ >= 0) close(event_fd_);
}

void OutputQueue::Push(Output output, void* user) {
  {
    absl::MutexLock lock(&mutex_);
    if (!closed_) {
      outputs_.emplace_back(std::move(output), user);
      if (outputs_.size() == 1) Signal(true);
      return;
    }
  }
  Read(output);
}

absl::Status OutputQueue::Take(int64_t timeout_ms, size_t max,
                               absl::Span<const keel_output* const>* out) {
  current_.clear();
  pointers_.clear();
  {
    absl::MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !outputs_.empty(); };
    const absl::Duration timeout =
        timeout_ms < 0 ? absl::InfiniteDuration() : absl::Milliseconds(timeout_ms);
    if (!mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout)) {
      return absl::DeadlineExceededError(absl::StrCat("no output within ", timeout_ms, " ms"));
    }
    const size_t n = max == 0 ? outputs_.size() : std::min(max, outputs_.size());
    for (size_t i = 0; i < n; ++i) {
      current_.push_back(std::move(outputs_.front()));
      outputs_.pop_front();
    }
    if (outputs_.empty()) Signal(false);
  }
  for (const keel_output& output : current_) {
    pointers_.push_back(&output);
    Read(output.output);
  }
  *out = pointers_;
  return absl::OkStatus();
}

void OutputQueue::Close() {
  std::deque<keel_output> unread;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    unread.swap(outputs_);
  }
  for (const keel_output& output : unread) Read(output.output);
}

void OutputQueue::Read(const Output& output) {
  // NOT_FOUND is no news: it has ended.
  engine_.Read(output.request, static_cast<int64_t>(output.tokens.size())).IgnoreError();
}

void OutputQueue::Signal(bool waiting) {
  if (event_fd_ < 0) return;
  uint64_t count = 1;
  // Neither can fail: the count is 0 or 1.
  const ssize_t done =
      waiting ? write(event_fd_, &count, sizeof(count)) : read(event_fd_, &count, sizeof(count));
  static_cast<void>(done);
}

}  // namespace keel

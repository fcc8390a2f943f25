#include "core/capi/handles.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/error_detail.h"

namespace keel {

void ErrorText::Set(const absl::Status& status) {
  message_ = BoundedMessage(status);
  details_.clear();
  for (const ErrorDetail detail : kErrorDetails) {
    if (std::string value = DetailOf(status, detail); !value.empty())
      details_.emplace(ErrorDetailName(detail), std::move(value));
  }
}

const char* ErrorText::detail(absl::string_view name) const {
  const auto found = details_.find(name);
  return found == details_.end() ? "" : found->second.c_str();
}

ErrorText& LastError() {
  thread_local ErrorText error;
  return error;
}

bool AnyNull(std::initializer_list<Argument> arguments) noexcept {
  for (const Argument& argument : arguments) {
    if (!argument.is_null) continue;
    LastError().Set(absl::InvalidArgumentError(
        absl::StrCat(argument.name,
                     " is NULL, expected a pointer to it; sdk/abi/engine.h says "
                     "which arguments may be NULL")));
    return true;
  }
  return false;
}

void PollQueue::Push(Output output, void* user) {
  {
    absl::MutexLock lock(&mutex_);
    if (!closed_) {
      outputs_.emplace_back(std::move(output), user);
      return;
    }
  }
  Read(output);
}

void PollQueue::Close() {
  std::deque<keel_output> unread;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    unread.swap(outputs_);
  }
  for (const keel_output& output : unread) Read(output.output);
}

void PollQueue::Read(const Output& output) {
  // NOT_FOUND is no news: it has ended.
  engine_.Read(output.request, static_cast<int64_t>(output.tokens.size())).IgnoreError();
}

absl::Status PollQueue::Pop(int64_t timeout_ms, const keel_output** out, bool* last) {
  {
    absl::MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !outputs_.empty(); };
    const absl::Duration timeout =
        timeout_ms < 0 ? absl::InfiniteDuration() : absl::Milliseconds(timeout_ms);
    if (!mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout)) {
      return absl::DeadlineExceededError(absl::StrCat("no output within ", timeout_ms, " ms"));
    }
    current_ = std::move(outputs_.front());
    outputs_.pop_front();
  }
  Read(current_.output);
  *out = &current_;
  *last = current_.output.is_last;
  return absl::OkStatus();
}

void PolledRequests::Add(uint64_t id, std::shared_ptr<PollQueue> queue) {
  absl::MutexLock lock(&mutex_);
  entries_[id] = {std::move(queue), false};
}

void PolledRequests::Close() {
  absl::MutexLock lock(&mutex_);
  for (auto& [id, entry] : entries_) {
    if (!entry.ended) entry.queue->Close();
  }
}

absl::Status PolledRequests::Poll(uint64_t id, int64_t timeout_ms, const keel_output** out) {
  std::shared_ptr<PollQueue> queue;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(id);
    if (it == entries_.end() || it->second.ended) {
      if (it != entries_.end()) entries_.erase(it);
      return absl::NotFoundError(
          absl::StrCat("request ", id, " has ended, or its outputs go to a callback"));
    }
    queue = it->second.queue;
  }
  bool last = false;
  const absl::Status status = queue->Pop(timeout_ms, out, &last);
  if (last) {
    absl::MutexLock lock(&mutex_);
    entries_[id].ended = true;  // the output itself lives until the next poll
  }
  return status;
}

}  // namespace keel

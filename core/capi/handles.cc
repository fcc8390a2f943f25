#include "core/capi/handles.h"

#include <iterator>

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

namespace {

template <typename T>
void Append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void PollQueue::Push(Output output) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return;
  unread_ += output.tokens.size();
  const uint64_t id = output.request;
  const bool is_last = output.is_last;
  Join(std::move(output));
  if (is_last || paused_.has_value() || unread_ < kMaxUnreadTokens) return;
  if (engine_.Pause(id).ok()) paused_ = id;
}

void PollQueue::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  outputs_.clear();
  Resume();
}

void PollQueue::Resume() {
  unread_ = 0;
  if (!paused_.has_value()) return;
  // NOT_FOUND is no news: it was cancelled meanwhile.
  [[maybe_unused]] const absl::Status status = engine_.Resume(*paused_);
  paused_.reset();
}

void PollQueue::Join(Output output) {
  for (Output& waiting : outputs_) {
    if (waiting.index != output.index || waiting.finish_reason != FinishReason::kNone) continue;
    waiting.text += output.text;
    Append(waiting.tokens, output.tokens);
    Append(waiting.logprobs, output.logprobs);
    waiting.cumulative_logprob = output.cumulative_logprob;
    waiting.finish_reason = output.finish_reason;
    waiting.stop_reason = std::move(output.stop_reason);
    waiting.status = std::move(output.status);
    waiting.is_last = output.is_last;
    if (!waiting.is_last || &waiting == &outputs_.back()) return;
    // The last output stays last.
    output = std::move(waiting);
    outputs_.erase(outputs_.begin() + (&waiting - &outputs_.front()));
    break;
  }
  outputs_.push_back(std::move(output));
}

absl::Status PollQueue::Pop(int64_t timeout_ms, const keel_output** out, bool* last) {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !outputs_.empty(); };
  const absl::Duration timeout =
      timeout_ms < 0 ? absl::InfiniteDuration() : absl::Milliseconds(timeout_ms);
  if (!mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout)) {
    return absl::DeadlineExceededError(absl::StrCat("no output within ", timeout_ms, " ms"));
  }
  current_ = keel_output(std::move(outputs_.front()));
  outputs_.pop_front();
  if (outputs_.empty()) Resume();
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

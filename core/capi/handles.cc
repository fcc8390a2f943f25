#include "core/capi/handles.h"

#include "absl/strings/str_cat.h"
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

void PolledRequests::Add(uint64_t id, std::shared_ptr<OutputQueue> queue) {
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
  std::shared_ptr<OutputQueue> queue;
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
  absl::Span<const keel_output* const> taken;
  if (absl::Status status = queue->Take(timeout_ms, 1, &taken); !status.ok()) return status;
  *out = taken.front();
  if (taken.front()->output.is_last) {
    absl::MutexLock lock(&mutex_);
    entries_[id].ended = true;  // the output itself lives until the next poll
  }
  return absl::OkStatus();
}

}  // namespace keel

#include "apps/wire/openai/response_store.h"

#include <utility>

namespace keel::apps {
namespace {

constexpr size_t kServersBytes = 64 << 20;
constexpr size_t kEntryBytes = 256;  // beside its texts, about

}  // namespace

ResponseStore& ResponseStore::OfServer() {
  static ResponseStore store(kServersBytes);
  return store;
}

void ResponseStore::Put(const std::string& id, std::string messages) {
  const auto size = [](const Entry& entry) { return entry.messages->size() + kEntryBytes; };
  if (messages.size() + kEntryBytes > max_bytes_) return;
  Entry entry{id, std::make_shared<const std::string>(std::move(messages))};
  std::lock_guard lock(mutex_);
  if (by_id_.contains(id)) return;
  bytes_ += size(entry);
  entries_.push_front(std::move(entry));
  by_id_[id] = entries_.begin();
  while (bytes_ > max_bytes_) {
    bytes_ -= size(entries_.back());
    by_id_.erase(entries_.back().id);
    entries_.pop_back();
  }
}

std::shared_ptr<const std::string> ResponseStore::Find(std::string_view id) {
  std::lock_guard lock(mutex_);
  const auto it = by_id_.find(std::string(id));
  if (it == by_id_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->messages;
}

}  // namespace keel::apps

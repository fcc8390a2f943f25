#include "apps/wire/openai/response_store.h"

#include <iterator>
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

size_t ResponseStore::SizeOf(const Entry& entry) {
  return entry.response->messages.size() + entry.response->body.size() + kEntryBytes;
}

void ResponseStore::EraseLocked(std::list<Entry>::iterator it) {
  bytes_ -= SizeOf(*it);
  by_id_.erase(it->id);
  entries_.erase(it);
}

void ResponseStore::Put(const std::string& id, StoredResponse response) {
  Entry entry{id, std::make_shared<const StoredResponse>(std::move(response))};
  if (SizeOf(entry) > max_bytes_) return;
  std::lock_guard lock(mutex_);
  if (by_id_.contains(id)) return;
  bytes_ += SizeOf(entry);
  entries_.push_front(std::move(entry));
  by_id_[id] = entries_.begin();
  while (bytes_ > max_bytes_) EraseLocked(std::prev(entries_.end()));
}

std::shared_ptr<const StoredResponse> ResponseStore::Find(std::string_view id) {
  std::lock_guard lock(mutex_);
  const auto it = by_id_.find(std::string(id));
  if (it == by_id_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->response;
}

bool ResponseStore::Erase(std::string_view id) {
  std::lock_guard lock(mutex_);
  const auto it = by_id_.find(std::string(id));
  if (it == by_id_.end()) return false;
  EraseLocked(it->second);
  return true;
}

}  // namespace keel::apps

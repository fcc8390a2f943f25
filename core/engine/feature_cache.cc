#include "core/engine/feature_cache.h"

namespace keel {

std::shared_ptr<const Features> FeatureCache::Find(absl::string_view hash) {
  ++usage_.queries;
  const auto found = entries_.find(hash);
  if (found == entries_.end()) return nullptr;
  ++usage_.hits;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return found->second->second;
}

void FeatureCache::Insert(const std::string& hash, std::shared_ptr<const Features> features) {
  if (features->bytes() > max_bytes_ || entries_.contains(hash)) return;
  bytes_ += features->bytes();
  by_use_.emplace_front(hash, std::move(features));
  entries_[hash] = by_use_.begin();
  while (bytes_ > max_bytes_) {
    bytes_ -= by_use_.back().second->bytes();
    entries_.erase(by_use_.back().first);
    by_use_.pop_back();
  }
}

}  // namespace keel

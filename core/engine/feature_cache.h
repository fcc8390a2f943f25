// Features of media by what the media are, so that an image that comes again, in another request or after a preemption,
// is not encoded again.
#ifndef KEEL_CORE_ENGINE_FEATURE_CACHE_H_
#define KEEL_CORE_ENGINE_FEATURE_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "core/exec/features.h"

namespace keel {

// The engine thread's.
class FeatureCache {
 public:
  // Bytes that it keeps at most; what was not asked for the longest goes first.
  explicit FeatureCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // Null: it has none of that hash.
  std::shared_ptr<const Features> Find(absl::string_view hash);
  // Features larger than all of it are not kept.
  void Insert(const std::string& hash, std::shared_ptr<const Features> features);

  struct Usage {
    int64_t queries = 0, hits = 0;  // of Find
  };
  const Usage& usage() const { return usage_; }

  int64_t bytes() const { return bytes_; }
  size_t size() const { return entries_.size(); }

 private:
  using Entry = std::pair<std::string, std::shared_ptr<const Features>>;

  const int64_t max_bytes_;
  int64_t bytes_ = 0;
  Usage usage_;
  std::list<Entry> by_use_;  // the last used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> entries_;
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_FEATURE_CACHE_H_

// The blocks of one group of layers and who uses them. Integers only: what is in them is in KvCache.
//
// A block is in exactly one state:
//   free    nobody uses it, its content is not known    on the free list, taken first
//   cached  nobody uses it, found by its content        on the LRU list, taken when no free one is left
//   used    ref_count > 0                               on no list; when full, others may find and share it
#ifndef KEEL_CORE_CACHE_BLOCK_POOL_H_
#define KEEL_CORE_CACHE_BLOCK_POOL_H_

#include <cstdint>
#include <list>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/cache/prefix_index.h"

namespace keel {

// A block that is not there: no token will look at it again.
inline constexpr int32_t kNoBlock = -1;

// Owned by the scheduler's thread.
class BlockPool {
 public:
  // `index` outlives the pool.
  BlockPool(int32_t num_blocks, PrefixIndex& index);

  int32_t num_blocks() const { return static_cast<int32_t>(blocks_.size()); }
  // Blocks that Allocate could give now: free and cached.
  int32_t num_available() const { return static_cast<int32_t>(free_.size() + cached_.size()); }
  int64_t num_evicted() const { return num_evicted_; }

  bool Contains(ContentId content) const { return published_.contains(content); }
  // The block that holds `content`, which must be there, with one more user.
  int32_t Share(ContentId content);
  // One more user of a block in use.
  void Share(int32_t block) { ++blocks_[block].ref_count; }
  bool IsShared(int32_t block) const { return blocks_[block].ref_count > 1; }

  // Appends `n` blocks with one user each to `blocks`, or does nothing and returns false. The least recently used cached
  // blocks lose their content for it.
  bool Allocate(int32_t n, std::vector<int32_t>& blocks);

  // Says that a used block has been filled. Nothing changes when another block holds the same already.
  void Publish(int32_t block, ContentId content);

  // One user less for each (kNoBlock is skipped). Blocks of a sequence are given in order; the last is the first to be
  // taken again.
  void Release(absl::Span<const int32_t> blocks);

  // Forgets every content; blocks in use stay in use.
  void ClearPrefixes();

  // Recounts everything above. `users[block]`: how many there should be. INTERNAL names the first block that is wrong.
  absl::Status CheckIntegrity(absl::Span<const int32_t> users) const;

 private:
  struct Block {
    int32_t ref_count = 0;
    ContentId content = 0;               // when published
    std::list<int32_t>::iterator place;  // on cached_, when cached
  };

  void Forget(int32_t block);

  PrefixIndex& index_;
  std::vector<Block> blocks_;
  std::vector<int32_t> free_;
  std::list<int32_t> cached_;  // least recently used first
  absl::flat_hash_map<ContentId, int32_t> published_;
  int64_t num_evicted_ = 0;
};

}  // namespace keel
#endif  // KEEL_CORE_CACHE_BLOCK_POOL_H_

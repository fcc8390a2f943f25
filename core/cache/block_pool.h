// The blocks of one KV cache and who uses them. Integers only: contents are in KvCache.
//
// A block is in exactly one state:
//   free    nobody uses it, its content is not known    on the free list, taken first
//   cached  nobody uses it, found by its content        on the LRU list, taken when no free one is left
//   used    ref_count > 0                               on no list; when full, others may find and share it
// The content of a full block is what its tokens and all tokens before them say. It is known by exact comparison (no
// hash stands for it): each content has an id, and a block is looked up by the id of the content before it and its own
// tokens.
#ifndef KEEL_CORE_CACHE_BLOCK_POOL_H_
#define KEEL_CORE_CACHE_BLOCK_POOL_H_

#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

// What precedes a block: the root of a salt, or the content of the block before.
using ContentId = uint64_t;

// Owned by the scheduler's thread.
class BlockPool {
 public:
  BlockPool(int32_t num_blocks, int32_t block_size, bool prefix_caching);

  int32_t block_size() const { return block_size_; }
  int32_t num_blocks() const { return static_cast<int32_t>(blocks_.size()); }
  // Blocks that Allocate could give now: free and cached.
  int32_t num_available() const { return static_cast<int32_t>(free_.size() + cached_.size()); }

  // Sequences share blocks only under the same salt.
  ContentId Root(absl::string_view salt);

  struct Match {
    std::vector<int32_t> blocks;  // each with one more user
    ContentId content;            // of the last, or the root
  };
  // The longest run of known blocks that `tokens` begins with, `max_tokens` tokens at most.
  Match FindPrefix(ContentId root, absl::Span<const int32_t> tokens, int64_t max_tokens);

  // Appends `n` blocks with one user each to `blocks`, or does nothing and returns false. The least recently used cached
  // blocks lose their content for it.
  bool Allocate(int32_t n, std::vector<int32_t>& blocks);

  // Says that a used block has been filled: `tokens` (block_size of them) after `before`. Returns the content's id.
  ContentId Publish(int32_t block, ContentId before, absl::Span<const int32_t> tokens);

  // One user less for each. Blocks of a sequence are given in order; the last is the first to be taken again.
  void Release(absl::Span<const int32_t> blocks);

  // Forgets every content; blocks in use stay in use.
  void ClearPrefixes();

  // Recounts everything above: INTERNAL names the first block whose state is not one of the three.
  absl::Status CheckIntegrity() const;

 private:
  struct Key {
    ContentId before;
    std::vector<int32_t> tokens;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.before, key.tokens);
    }
  };
  struct Entry {
    int32_t block;
    ContentId content;
  };
  struct Block {
    int32_t ref_count = 0;
    bool published = false;
    Key key;                             // when published
    std::list<int32_t>::iterator place;  // on cached_, when cached
  };

  void Forget(int32_t block);

  const int32_t block_size_;
  const bool prefix_caching_;
  std::vector<Block> blocks_;
  std::vector<int32_t> free_;
  std::list<int32_t> cached_;  // least recently used first
  absl::flat_hash_map<Key, Entry> published_;
  absl::flat_hash_map<std::string, ContentId> roots_;
  ContentId next_content_ = 1;
};

}  // namespace keel
#endif  // KEEL_CORE_CACHE_BLOCK_POOL_H_

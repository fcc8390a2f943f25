// Which blocks each sequence has, in every group of layers.
//
// Layers that keep their keys alike (all of them, a sliding window, a chunk) form a group with a pool of its own: a
// windowed group gives a block back as soon as no later token can see into it. A block that several sequences share is
// written by none of them: who comes to write it gets a copy first. Recurrent layers keep no keys but a state, in a
// slot that a sequence holds from Begin to Release.
#ifndef KEEL_CORE_CACHE_BLOCK_ALLOCATOR_H_
#define KEEL_CORE_CACHE_BLOCK_ALLOCATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/cache/block_pool.h"
#include "core/cache/prefix_index.h"

namespace keel {

// Which keys the layers of a group keep. At most one of `window` and `chunk` is set.
struct CacheGroup {
  int32_t num_blocks = 0;
  int64_t window = 0;  // a token sees so many keys, its own included; 0: all
  int64_t chunk = 0;   // a token sees the keys of its chunk only; 0: all
};

// One sequence's blocks. All zero: it has none.
struct BlockTable {
  // [group][i]: where tokens [i * block_size, (i + 1) * block_size) lie; kNoBlock where no token will look again.
  std::vector<std::vector<int32_t>> blocks;
  std::vector<int32_t> first;  // [group]: index of the first block that is there
  int32_t published = 0;       // leading blocks whose content is known
  ContentId content = 0;       // of the last of them, or the root
  int32_t state_slot = -1;     // -1: none

  bool empty() const { return blocks.empty() && state_slot < 0; }
};

// What tokens are beside their ids, placeholders or a group: two prompts with equal tokens and other pictures share
// nothing.
struct MediaSpan {
  int32_t begin = 0, end = 0;  // tokens
  std::string hash;
};

// To be done before the step's forward, in order.
struct BlockCopy {
  int32_t group = 0, from = 0, to = 0;
};
struct StateCopy {
  int32_t from = -1, to = 0;  // from -1: zeros
};
struct CacheWork {
  std::vector<BlockCopy> blocks;
  std::vector<StateCopy> states;
};

// Owned by the scheduler's thread.
class BlockAllocator {
 public:
  struct Options {
    int32_t block_size = 16;
    bool prefix_caching = true;  // off where a model has states: a prefix's state is not kept
    std::vector<CacheGroup> groups;
    int32_t num_state_slots = 0;  // 0: no recurrent layers
  };
  explicit BlockAllocator(Options options);

  int32_t block_size() const { return options_.block_size; }
  const BlockPool& pool(size_t group) const { return pools_[group]; }
  size_t num_groups() const { return pools_.size(); }
  // Blocks that the group with the fewest could give now.
  int32_t num_available() const;
  // Share of blocks in use, 0 to 1, of the fullest group; of state slots, where no layer keeps keys.
  double usage() const;
  int64_t num_evicted() const;
  // Contents that are remembered.
  size_t num_contents() const { return index_.size(); }

  // True if a sequence of `tokens` tokens, at most `chunk` of them computed in one step, fits when it is alone.
  bool FitsAlone(int64_t tokens, int64_t chunk) const;

  // Fills an empty table with the longest run of known blocks that `tokens` begins with, `max_tokens` tokens at most;
  // returns how many tokens that is. A sequence has a table from here until Release.
  int32_t Begin(absl::string_view salt, absl::Span<const int32_t> tokens,
                absl::Span<const MediaSpan> media, int64_t max_tokens, CacheWork& work,
                BlockTable& table);

  // Whether Begin would find a state slot.
  bool HasStateSlot() const { return options_.num_state_slots == 0 || !free_slots_.empty(); }

  // Makes room for `num_tokens` tokens after the first `num_computed`, all of it or none (false). Adds the copies that
  // sharing makes necessary to `work`.
  bool Grow(BlockTable& table, int32_t num_computed, int32_t num_tokens, CacheWork& work);

  // Says that the first `num_computed` of `tokens` have been computed: full blocks become known, those that no token
  // will see again go.
  void Advance(BlockTable& table, absl::Span<const int32_t> tokens,
               absl::Span<const MediaSpan> media, int32_t num_computed);

  // Gives an empty table the first `num_computed` tokens of another. False: no state slot is left.
  bool Fork(const BlockTable& from, int32_t num_computed, CacheWork& work, BlockTable& to);

  void Release(BlockTable& table);

  void ClearPrefixes();

  // Every block is used by `tables`, which are all that there are, and by nobody else.
  absl::Status CheckIntegrity(absl::Span<const BlockTable* const> tables) const;

 private:
  int32_t BlocksFor(int64_t tokens) const {
    return static_cast<int32_t>((tokens + options_.block_size - 1) / options_.block_size);
  }
  // Index of the first block that a token at position `num_computed` or later sees.
  int32_t FirstNeeded(size_t group, int64_t num_computed) const;
  // The longest prefix, in blocks, of which each group has what it needs.
  int32_t LongestHeld(absl::Span<const ContentId> contents) const;
  absl::Span<const int32_t> TokensOf(absl::Span<const int32_t> tokens, int32_t block) const;
  std::string MediaOf(absl::Span<const MediaSpan> media, int32_t block) const;

  const Options options_;
  PrefixIndex index_;
  std::vector<BlockPool> pools_;
  std::vector<int32_t> free_slots_;
};

}  // namespace keel
#endif  // KEEL_CORE_CACHE_BLOCK_ALLOCATOR_H_

#include "core/cache/block_allocator.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/visible_keys.h"

namespace keel {

BlockAllocator::BlockAllocator(Options options) : options_(std::move(options)) {
  for (const CacheGroup& group : options_.groups) pools_.emplace_back(group.num_blocks, index_);
  for (int32_t i = options_.num_state_slots - 1; i >= 0; --i) free_slots_.push_back(i);
}

int32_t BlockAllocator::num_available() const {
  int32_t available = std::numeric_limits<int32_t>::max();
  for (const BlockPool& pool : pools_) available = std::min(available, pool.num_available());
  return available;
}

double BlockAllocator::usage() const {
  if (pools_.empty() && options_.num_state_slots > 0)
    return 1 - static_cast<double>(free_slots_.size()) / options_.num_state_slots;
  double usage = 0;
  for (const BlockPool& pool : pools_)
    usage = std::max(usage, 1 - static_cast<double>(pool.num_available()) / pool.num_blocks());
  return usage;
}

int64_t BlockAllocator::num_evicted() const {
  int64_t evicted = 0;
  for (const BlockPool& pool : pools_) evicted += pool.num_evicted();
  return evicted;
}

int32_t BlockAllocator::FirstNeeded(size_t group, int64_t num_computed) const {
  const CacheGroup& g = options_.groups[group];
  const int64_t first = FirstVisibleKey(num_computed, g.window, g.chunk);
  return static_cast<int32_t>(first / options_.block_size);
}

bool BlockAllocator::FitsAlone(int64_t tokens, int64_t chunk) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    const CacheGroup& group = options_.groups[g];
    // Of a window that begins and ends within blocks, both are needed.
    const int64_t kept = group.window > 0 ? group.window : group.chunk > 0 ? group.chunk : tokens;
    const int64_t blocks = kept >= tokens
                               ? BlocksFor(tokens)
                               : std::min<int64_t>(BlocksFor(tokens), BlocksFor(kept + chunk) + 1);
    if (blocks > pools_[g].num_blocks()) return false;
  }
  return true;
}

absl::Span<const int32_t> BlockAllocator::TokensOf(absl::Span<const int32_t> tokens,
                                                   int32_t block) const {
  const auto size = static_cast<size_t>(options_.block_size);
  return tokens.subspan(static_cast<size_t>(block) * size, size);
}

std::string BlockAllocator::MediaOf(absl::Span<const MediaSpan> media, int32_t block) const {
  std::string out;
  const int32_t begin = block * options_.block_size, end = begin + options_.block_size;
  for (const MediaSpan& span : media) {
    // Where it begins matters: a block may hold the second half of a picture.
    if (span.begin < end && span.end > begin)
      absl::StrAppend(&out, span.begin - begin, ":", span.hash, ";");
  }
  return out;
}

int32_t BlockAllocator::LongestHeld(absl::Span<const ContentId> contents) const {
  auto longest = static_cast<int32_t>(contents.size());
  // held[g][i]: how many contents up to and with i group g holds in a row.
  std::vector<std::vector<int32_t>> held(pools_.size());
  for (size_t g = 0; g < pools_.size(); ++g) {
    int32_t run = 0;
    for (const ContentId content : contents)
      held[g].push_back(run = pools_[g].Contains(content) ? run + 1 : 0);
  }
  const auto holds = [&](int32_t blocks) {
    for (size_t g = 0; g < pools_.size(); ++g) {
      const int64_t tokens = int64_t{blocks} * options_.block_size;
      if (held[g][blocks - 1] < blocks - FirstNeeded(g, tokens)) return false;
    }
    return true;
  };
  while (longest > 0 && !holds(longest)) --longest;
  return longest;
}

int32_t BlockAllocator::Begin(absl::string_view salt, absl::Span<const int32_t> tokens,
                              absl::Span<const MediaSpan> media, int64_t max_tokens,
                              CacheWork& work, BlockTable& table) {
  table.blocks.resize(pools_.size());
  table.first.assign(pools_.size(), 0);
  if (options_.num_state_slots > 0) {
    table.state_slot = free_slots_.back();
    free_slots_.pop_back();
    work.states.push_back({-1, table.state_slot});
  }
  if (!options_.prefix_caching) return 0;
  const ContentId root = index_.Intern(0, {}, salt);
  std::vector<ContentId> contents;
  const int64_t limit = std::min<int64_t>(static_cast<int64_t>(tokens.size()), max_tokens);
  for (int32_t i = 0; int64_t{i + 1} * options_.block_size <= limit; ++i) {
    const ContentId before = contents.empty() ? root : contents.back();
    const ContentId content = index_.Find(before, TokensOf(tokens, i), MediaOf(media, i));
    if (content == 0) break;
    contents.push_back(content);
  }
  const int32_t found = LongestHeld(contents);
  for (size_t g = 0; g < pools_.size(); ++g) {
    table.first[g] = std::min(found, FirstNeeded(g, int64_t{found} * options_.block_size));
    table.blocks[g].assign(static_cast<size_t>(table.first[g]), kNoBlock);
    for (int32_t i = table.first[g]; i < found; ++i)
      table.blocks[g].push_back(pools_[g].Share(contents[i]));
  }
  table.published = found;
  table.content = root;
  if (found > 0) {
    table.content = contents[found - 1];
    index_.Ref(table.content);
    index_.Unref(root);
  }
  return found * options_.block_size;
}

bool BlockAllocator::Grow(BlockTable& table, int32_t num_computed, int32_t num_tokens,
                          CacheWork& work) {
  const int32_t end = BlocksFor(int64_t{num_computed} + num_tokens);
  const auto written = static_cast<size_t>(num_computed / options_.block_size);
  const auto is_shared = [&](size_t g) {
    return written < table.blocks[g].size() && pools_[g].IsShared(table.blocks[g][written]);
  };
  const auto missing = [&](size_t g) {
    return std::max(0, end - static_cast<int32_t>(table.blocks[g].size()));
  };
  for (size_t g = 0; g < pools_.size(); ++g) {
    if (missing(g) + (is_shared(g) ? 1 : 0) > pools_[g].num_available()) return false;
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    std::vector<int32_t>& blocks = table.blocks[g];
    if (is_shared(g)) {
      std::vector<int32_t> own;
      pools_[g].Allocate(1, own);
      work.blocks.push_back({static_cast<int32_t>(g), blocks[written], own[0]});
      pools_[g].Release({&blocks[written], 1});
      blocks[written] = own[0];
    }
    pools_[g].Allocate(missing(g), blocks);
  }
  return true;
}

void BlockAllocator::Advance(BlockTable& table, absl::Span<const int32_t> tokens,
                             absl::Span<const MediaSpan> media, int32_t num_computed) {
  while (options_.prefix_caching && (table.published + 1) * options_.block_size <= num_computed) {
    const int32_t i = table.published++;
    const ContentId content = index_.Intern(table.content, TokensOf(tokens, i), MediaOf(media, i));
    index_.Unref(std::exchange(table.content, content));
    for (size_t g = 0; g < pools_.size(); ++g) {
      if (const int32_t block = table.blocks[g][i]; block != kNoBlock)
        pools_[g].Publish(block, content);
    }
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    const int32_t needed = FirstNeeded(g, num_computed);
    for (int32_t& i = table.first[g]; i < needed; ++i) {
      pools_[g].Release({&table.blocks[g][i], 1});
      table.blocks[g][i] = kNoBlock;
    }
  }
}

bool BlockAllocator::Fork(const BlockTable& from, int32_t num_computed, CacheWork& work,
                          BlockTable& to) {
  if (!HasStateSlot()) return false;
  to = from;
  if (options_.num_state_slots > 0) {
    to.state_slot = free_slots_.back();
    free_slots_.pop_back();
    work.states.push_back({from.state_slot, to.state_slot});
  }
  for (size_t g = 0; g < pools_.size(); ++g) {
    to.blocks[g].resize(static_cast<size_t>(BlocksFor(num_computed)));
    for (const int32_t block : to.blocks[g]) {
      if (block != kNoBlock) pools_[g].Share(block);
    }
  }
  if (to.content != 0) index_.Ref(to.content);
  return true;
}

void BlockAllocator::Release(BlockTable& table) {
  if (table.empty()) return;
  for (size_t g = 0; g < pools_.size(); ++g) pools_[g].Release(table.blocks[g]);
  if (table.content != 0) index_.Unref(table.content);
  if (table.state_slot >= 0) free_slots_.push_back(table.state_slot);
  table = BlockTable();
}

void BlockAllocator::ClearPrefixes() {
  for (BlockPool& pool : pools_) pool.ClearPrefixes();
}

absl::Status BlockAllocator::CheckIntegrity(absl::Span<const BlockTable* const> tables) const {
  for (size_t g = 0; g < pools_.size(); ++g) {
    std::vector<int32_t> users(static_cast<size_t>(pools_[g].num_blocks()));
    for (const BlockTable* table : tables) {
      if (table->empty()) continue;
      for (const int32_t block : table->blocks[g]) {
        if (block != kNoBlock) ++users[block];
      }
    }
    KEEL_RETURN_IF_ERROR(
        Annotate(pools_[g].CheckIntegrity(users), absl::StrCat("cache group ", g)));
  }
  std::vector<int> owners(static_cast<size_t>(options_.num_state_slots));  // or is free
  for (const int32_t slot : free_slots_) ++owners[static_cast<size_t>(slot)];
  for (const BlockTable* table : tables) {
    if (table->state_slot >= 0) ++owners[static_cast<size_t>(table->state_slot)];
  }
  for (size_t slot = 0; slot < owners.size(); ++slot) {
    if (owners[slot] != 1)
      return absl::InternalError(
          absl::StrCat("state slot ", slot, " has ", owners[slot], " owners"));
  }
  return absl::OkStatus();
}

}  // namespace keel

#include "core/cache/block_pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace keel {

BlockPool::BlockPool(int32_t num_blocks, int32_t block_size, bool prefix_caching)
    : block_size_(block_size), prefix_caching_(prefix_caching), blocks_(num_blocks) {
  for (int32_t i = num_blocks - 1; i >= 0; --i) free_.push_back(i);
}

ContentId BlockPool::Root(absl::string_view salt) {
  const auto [it, fresh] = roots_.try_emplace(std::string(salt), next_content_);
  if (fresh) ++next_content_;
  return it->second;
}

BlockPool::Match BlockPool::FindPrefix(ContentId root, absl::Span<const int32_t> tokens,
                                       int64_t max_tokens) {
  Match match{{}, root};
  if (!prefix_caching_) return match;
  const size_t limit = std::min<size_t>(tokens.size(), std::max<int64_t>(max_tokens, 0));
  for (size_t at = 0; at + block_size_ <= limit; at += block_size_) {
    const auto found = published_.find(
        Key{match.content, {tokens.begin() + at, tokens.begin() + at + block_size_}});
    if (found == published_.end()) break;
    Block& block = blocks_[found->second.block];
    if (block.ref_count++ == 0) cached_.erase(block.place);
    match.blocks.push_back(found->second.block);
    match.content = found->second.content;
  }
  return match;
}

bool BlockPool::Allocate(int32_t n, std::vector<int32_t>& blocks) {
  if (n > num_available()) return false;
  for (int32_t i = 0; i < n; ++i) {
    int32_t block;
    if (!free_.empty()) {
      block = free_.back();
      free_.pop_back();
    } else {
      block = cached_.front();
      cached_.pop_front();
      Forget(block);
    }
    blocks_[block].ref_count = 1;
    blocks.push_back(block);
  }
  return true;
}

ContentId BlockPool::Publish(int32_t block, ContentId before, absl::Span<const int32_t> tokens) {
  if (!prefix_caching_) return before;
  Key key{before, {tokens.begin(), tokens.end()}};
  const auto [it, fresh] = published_.try_emplace(key, Entry{block, next_content_});
  if (!fresh) return it->second.content;  // another block holds the same already
  ++next_content_;
  blocks_[block].published = true;
  blocks_[block].key = std::move(key);
  return it->second.content;
}

void BlockPool::Release(absl::Span<const int32_t> blocks) {
  // Backwards: the end of a prefix is worth less than its beginning, so it is taken again first.
  for (auto it = blocks.rbegin(); it != blocks.rend(); ++it) {
    Block& block = blocks_[*it];
    if (--block.ref_count > 0) continue;
    if (block.published) {
      block.place = cached_.insert(cached_.end(), *it);
    } else {
      free_.push_back(*it);
    }
  }
}

void BlockPool::ClearPrefixes() {
  for (const int32_t block : cached_) free_.push_back(block);
  cached_.clear();
  for (Block& block : blocks_) block.published = false;
  published_.clear();
  roots_.clear();
}

void BlockPool::Forget(int32_t block) {
  published_.erase(blocks_[block].key);
  blocks_[block].published = false;
}

absl::Status BlockPool::CheckIntegrity() const {
  std::vector<int> listed(blocks_.size());
  for (const int32_t block : free_) ++listed[block];
  for (const int32_t block : cached_) ++listed[block];
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const bool used = block.ref_count > 0;
    if (block.ref_count < 0 || listed[i] != (used ? 0 : 1)) {
      return absl::InternalError(absl::StrCat("block ", i, " has ", block.ref_count,
                                              " users and is on ", listed[i], " lists"));
    }
    const auto found = published_.find(block.key);
    if (block.published !=
        (found != published_.end() && found->second.block == static_cast<int32_t>(i))) {
      return absl::InternalError(absl::StrCat("block ", i, " and the table of contents disagree"));
    }
  }
  for (const int32_t block : cached_) {
    if (!blocks_[block].published)
      return absl::InternalError(absl::StrCat("block ", block, " is cached without content"));
  }
  return absl::OkStatus();
}

}  // namespace keel

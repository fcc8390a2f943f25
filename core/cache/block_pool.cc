#include "core/cache/block_pool.h"

#include "absl/strings/str_cat.h"

namespace keel {

BlockPool::BlockPool(int32_t num_blocks, PrefixIndex& index) : index_(index), blocks_(num_blocks) {
  for (int32_t i = num_blocks - 1; i >= 0; --i) free_.push_back(i);
}

int32_t BlockPool::Share(ContentId content) {
  const int32_t block = published_.at(content);
  if (blocks_[block].ref_count++ == 0) cached_.erase(blocks_[block].place);
  return block;
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
      ++num_evicted_;
    }
    blocks_[block].ref_count = 1;
    blocks.push_back(block);
  }
  return true;
}

void BlockPool::Publish(int32_t block, ContentId content) {
  if (!published_.try_emplace(content, block).second) return;
  index_.Ref(content);
  blocks_[block].content = content;
}

void BlockPool::Release(absl::Span<const int32_t> blocks) {
  // Backwards: the end of a prefix is worth less than its beginning, so it is taken again first.
  for (auto it = blocks.rbegin(); it != blocks.rend(); ++it) {
    if (*it == kNoBlock) continue;
    Block& block = blocks_[*it];
    if (--block.ref_count > 0) continue;
    if (block.content != 0) {
      block.place = cached_.insert(cached_.end(), *it);
    } else {
      free_.push_back(*it);
    }
  }
}

void BlockPool::ClearPrefixes() {
  for (const int32_t block : cached_) free_.push_back(block);
  cached_.clear();
  for (int32_t i = 0; i < num_blocks(); ++i) {
    if (blocks_[i].content != 0) Forget(i);
  }
}

void BlockPool::Forget(int32_t block) {
  const ContentId content = std::exchange(blocks_[block].content, 0);
  published_.erase(content);
  index_.Unref(content);
}

absl::Status BlockPool::CheckIntegrity(absl::Span<const int32_t> users) const {
  std::vector<int> listed(blocks_.size());
  for (const int32_t block : free_) ++listed[block];
  for (const int32_t block : cached_) ++listed[block];
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (block.ref_count != users[i]) {
      return absl::InternalError(
          absl::StrCat("block ", i, " counts ", block.ref_count, " users and has ", users[i]));
    }
    if (listed[i] != (block.ref_count > 0 ? 0 : 1)) {
      return absl::InternalError(absl::StrCat("block ", i, " has ", block.ref_count,
                                              " users and is on ", listed[i], " lists"));
    }
    const auto found = published_.find(block.content);
    if ((block.content != 0) !=
        (found != published_.end() && found->second == static_cast<int32_t>(i))) {
      return absl::InternalError(absl::StrCat("block ", i, " and the table of contents disagree"));
    }
  }
  for (const int32_t block : cached_) {
    if (blocks_[block].content == 0)
      return absl::InternalError(absl::StrCat("block ", block, " is cached without content"));
  }
  return absl::OkStatus();
}

}  // namespace keel

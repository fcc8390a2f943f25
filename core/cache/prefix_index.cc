#include "core/cache/prefix_index.h"

namespace keel {

ContentId PrefixIndex::Find(ContentId before, absl::Span<const int32_t> tokens,
                            absl::string_view media) const {
  const auto it = entries_.find(KeyView{before, tokens, media});
  return it == entries_.end() ? 0 : it->second.content;
}

ContentId PrefixIndex::Intern(ContentId before, absl::Span<const int32_t> tokens,
                              absl::string_view media) {
  if (const auto it = entries_.find(KeyView{before, tokens, media}); it != entries_.end()) {
    ++it->second.references;
    return it->second.content;
  }
  const ContentId content = next_content_++;
  const auto it = entries_
                      .emplace(Key{before, {tokens.begin(), tokens.end()}, std::string(media)},
                               Entry{content, 1})
                      .first;
  by_content_[content] = &*it;
  if (before != 0) Ref(before);
  return content;
}

void PrefixIndex::Ref(ContentId content) { ++by_content_.at(content)->second.references; }

void PrefixIndex::Unref(ContentId content) {
  // In a loop: the last reference to a leaf may be what keeps a whole branch.
  while (content != 0) {
    const auto it = by_content_.find(content);
    if (--it->second->second.references > 0) return;
    const ContentId before = it->second->first.before;
    entries_.erase(entries_.find(it->second->first));
    by_content_.erase(it);
    content = before;
  }
}

}  // namespace keel

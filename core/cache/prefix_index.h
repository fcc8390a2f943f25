// What blocks may hold, known by exact comparison: no hash stands for a content.
//
// A content is a block's tokens (and the media that its placeholders stand for) after the content before it; the first
// comes after a root, which is a salt. Contents form a tree. One is kept while somebody refers to it: a block that
// holds it, a sequence that has come so far, or a content after it.
#ifndef KEEL_CORE_CACHE_PREFIX_INDEX_H_
#define KEEL_CORE_CACHE_PREFIX_INDEX_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

// Never given out twice; 0 is none.
using ContentId = uint64_t;

// Owned by the scheduler's thread.
class PrefixIndex {
 public:
  // The content of `tokens` after `before`, or 0. `media`: what placeholders among the tokens stand for. A root is
  // what no tokens after nothing are, with its salt as `media`.
  ContentId Find(ContentId before, absl::Span<const int32_t> tokens, absl::string_view media) const;

  // The same, made if need be. The caller refers to it now.
  ContentId Intern(ContentId before, absl::Span<const int32_t> tokens, absl::string_view media);

  void Ref(ContentId content);
  void Unref(ContentId content);

  size_t size() const { return entries_.size(); }

 private:
  struct KeyView {
    ContentId before;
    absl::Span<const int32_t> tokens;
    absl::string_view media;
  };
  struct Key {
    ContentId before;
    std::vector<int32_t> tokens;
    std::string media;
    KeyView view() const { return {before, tokens, media}; }
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const KeyView& key) const {
      return absl::HashOf(key.before, key.tokens, key.media);
    }
    size_t operator()(const Key& key) const { return (*this)(key.view()); }
  };
  struct Equal {
    using is_transparent = void;
    static KeyView View(const KeyView& key) { return key; }
    static KeyView View(const Key& key) { return key.view(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      const KeyView x = View(a), y = View(b);
      return x.before == y.before && x.tokens == y.tokens && x.media == y.media;
    }
  };
  struct Entry {
    ContentId content;
    int64_t references;
  };
  using Entries = absl::node_hash_map<Key, Entry, Hash, Equal>;

  Entries entries_;
  absl::flat_hash_map<ContentId, Entries::value_type*> by_content_;
  ContentId next_content_ = 1;
};

}  // namespace keel
#endif  // KEEL_CORE_CACHE_PREFIX_INDEX_H_

// One running token stream, as the scheduler sees it.
#ifndef KEEL_CORE_SCHEDULER_SEQUENCE_H_
#define KEEL_CORE_SCHEDULER_SEQUENCE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/base/token_range.h"
#include "core/cache/block_allocator.h"

namespace keel {

struct RunningSequence;  // the engine's, which is a Sequence

// Owned by the engine; the scheduler holds pointers between Add and Remove. Fields below the line are the scheduler's.
struct Sequence {
  uint64_t id = 0;                     // its request's, for messages
  RunningSequence* running = nullptr;  // the rest of it, which the scheduler does not look at
  int32_t priority = 0;                // lower runs first, as in vLLM
  std::string cache_salt;  // shares its prefix with sequences of the same salt (and adapter) only
  std::vector<MediaSpan> media;  // what placeholders among the tokens stand for
  // Tokens of the prompt that see each other, in order: none of them is computed in another step than the rest of its group.
  // Where the tokens of one do not say what all of it is, `media` does, for its keys hang on it.
  std::vector<TokenRange> groups;
  std::vector<int32_t> tokens;  // prompt, then what was generated, then drafts
  int32_t prompt_tokens = 0;
  // How many of `tokens`, at the end, are drafts. The engine adds them to a sequence that is one token behind, and
  // takes those that did not hold away before Advance. A sequence that can't run with them, or pauses, loses them.
  int32_t num_drafts = 0;
  bool reads_prefix_cache = true;  // false: every token is computed, somebody wants its logits
  bool is_whole = false;  // all of it in one step, or none: its tokens see those that follow
  int32_t max_chunk =
      std::numeric_limits<int32_t>::max();  // tokens in one step; a group may be more
  // ------------------------------------------------------------------------------------------------------------------
  uint64_t arrival = 0;
  uint64_t waits_since = 0;     // step
  bool overdue = false;         // waited so long that it goes first now
  bool admitted = false;        // has run before
  int32_t num_computed = 0;     // tokens whose keys and values are in `table`
  int32_t cached_tokens = 0;    // of the prompt, found in the prefix cache at its first admission
  int32_t num_preemptions = 0;  // times that it lost its blocks
  BlockTable table;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t num_behind() const { return size() - num_computed; }
};

// A sequence that goes on from where `parent` is: its text and settings; its blocks come by Scheduler::Fork.
inline Sequence ForkOf(const Sequence& parent) {
  Sequence child;
  child.id = parent.id;
  child.priority = parent.priority;
  child.cache_salt = parent.cache_salt;
  child.media = parent.media;
  child.groups = parent.groups;
  child.tokens = parent.tokens;
  child.prompt_tokens = parent.prompt_tokens;
  child.reads_prefix_cache = parent.reads_prefix_cache;
  child.is_whole = parent.is_whole;
  child.max_chunk = parent.max_chunk;
  return child;
}

}  // namespace keel
#endif  // KEEL_CORE_SCHEDULER_SEQUENCE_H_

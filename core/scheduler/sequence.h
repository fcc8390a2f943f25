// One running token stream, as the scheduler sees it.
#ifndef KEEL_CORE_SCHEDULER_SEQUENCE_H_
#define KEEL_CORE_SCHEDULER_SEQUENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/cache/block_pool.h"

namespace keel {

// Owned by the engine; the scheduler holds pointers between Add and Remove. Fields below the line are the scheduler's.
struct Sequence {
  uint64_t id = 0;
  int32_t priority = 0;         // lower runs first, as in vLLM
  std::string cache_salt;       // shares its prefix with sequences of the same salt only
  std::vector<int32_t> tokens;  // prompt, then what was generated
  int32_t prompt_tokens = 0;
  bool wants_prompt_logits =
      false;  // every prompt token must be computed: no prefix is taken from the cache
  // ------------------------------------------------------------------------------------------------------------------
  uint64_t arrival = 0;
  int32_t num_computed = 0;   // tokens whose keys and values are in `blocks`
  int32_t cached_tokens = 0;  // of the prompt, found in the prefix cache at its first admission
  bool admitted = false;      // has run before
  std::vector<int32_t> blocks;
  int32_t published_blocks = 0;  // of `blocks`, known by content
  ContentId content = 0;         // of the last published block

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
};

}  // namespace keel
#endif  // KEEL_CORE_SCHEDULER_SEQUENCE_H_

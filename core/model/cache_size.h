// How many cache blocks a model gets, and how long its texts may be with them.
#ifndef KEEL_CORE_MODEL_CACHE_SIZE_H_
#define KEEL_CORE_MODEL_CACHE_SIZE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/cache/block_allocator.h"
#include "core/cache/cache_layout.h"
#include "core/model/options.h"

namespace keel {

struct CacheNeed {
  int64_t max_len = 0;    // tokens of one sequence
  int64_t max_chunk = 0;  // of them in one step
  int64_t max_num_seqs = 0;
  int64_t block_size = 0;
};

struct CacheSize {
  std::vector<CacheGroup> groups;
  int64_t max_len = 0;          // what one sequence can have: need.max_len or less
  int64_t bytes = 0;            // of keys and values
  int32_t num_state_slots = 0;  // 0: no recurrent layers
};

// Divides `bytes` among the groups of `layout`, in proportion to what a sequence of full length
// needs of each; not more than all sequences at full length can use, unless `use_all`.
// INVALID_ARGUMENT: not even one block fits.
absl::StatusOr<CacheSize> DivideCache(const CacheLayout& layout, const CacheNeed& need,
                                      int64_t bytes, bool use_all);

// How many sequences at once get recurrent states: `max_num_seqs`, or as many as fit, with a
// warning. Of `bytes`, half is left to the layers that keep keys, if there are any.
// RESOURCE_EXHAUSTED: not even one fits.
absl::StatusOr<int32_t> NumStateSlots(const CacheLayout& layout, int64_t max_num_seqs,
                                      int64_t bytes, std::vector<std::string>& warnings);

// Bytes that the process could still take, within what its cgroup allows.
int64_t AvailableMemory();

// The cache of a model that keeps `layout` and whose config allows `max_positions` tokens (0: not
// said), in the memory that is there now. What a user should know is added to `warnings`. Errors
// name the flag.
absl::StatusOr<CacheSize> SizeCache(const CacheOptions& options, const SchedulerOptions& steps,
                                    const CacheLayout& layout, int64_t max_positions,
                                    std::vector<std::string>& warnings);

}  // namespace keel
#endif  // KEEL_CORE_MODEL_CACHE_SIZE_H_

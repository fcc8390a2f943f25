// What the layers of a model keep of a sequence, in bytes: what a cache is sized by.
#ifndef KEEL_CORE_CACHE_CACHE_LAYOUT_H_
#define KEEL_CORE_CACHE_CACHE_LAYOUT_H_

#include <cstdint>
#include <vector>

namespace keel {

struct CacheLayout {
  // Layers that keep their keys alike; blocks and copies name a group by its index here.
  struct Group {
    int64_t window = 0, chunk = 0;  // as in CacheGroup
    int64_t block_bytes = 0;        // of one block over its layers
  };
  std::vector<Group> groups;
  int64_t state_bytes = 0;  // of one sequence; 0: no recurrent layers
};

}  // namespace keel
#endif  // KEEL_CORE_CACHE_CACHE_LAYOUT_H_

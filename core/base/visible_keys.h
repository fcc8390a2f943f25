// Which keys a token's attention sees: all up to its own, those of a sliding window, or those of its chunk.
#ifndef KEEL_CORE_BASE_VISIBLE_KEYS_H_
#define KEEL_CORE_BASE_VISIBLE_KEYS_H_

#include <algorithm>
#include <cstdint>

namespace keel {

// The first key that the token at `position` sees. `window` counts its own; 0 is no limit, as in `chunk`.
inline int64_t FirstVisibleKey(int64_t position, int64_t window, int64_t chunk) {
  int64_t first = 0;
  if (window > 0) first = std::max<int64_t>(0, position - window + 1);
  if (chunk > 0) first = std::max(first, position / chunk * chunk);
  return first;
}

}  // namespace keel
#endif  // KEEL_CORE_BASE_VISIBLE_KEYS_H_

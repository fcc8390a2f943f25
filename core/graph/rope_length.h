// Rope whose frequencies go by the length of the text: longrope, dynamic NTK.
#ifndef KEEL_CORE_GRAPH_ROPE_LENGTH_H_
#define KEEL_CORE_GRAPH_ROPE_LENGTH_H_

#include <cstdint>

#include "core/graph/graph.pb.h"

namespace keel {

inline bool GoesByLength(const proto::Rope& rope) {
  return rope.original_max_positions() > 0 &&
         (rope.long_inv_freq_size() > 0 || rope.dynamic_factor() > 0);
}

// Which prompts have the same keys for the same tokens, and may share a cache.
struct PromptRope {
  int64_t trained = 0;    // longer prompts have others than these; 0: all have the same
  bool each_own = false;  // longer ones differ by their lengths too
};
PromptRope PromptRopeOf(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_ROPE_LENGTH_H_

#include "core/graph/rope_length.h"

#include <algorithm>

namespace keel {

PromptRope PromptRopeOf(const proto::Graph& graph) {
  PromptRope out;
  for (const proto::Declaration& declaration : graph.declarations()) {
    const proto::Rope& rope = declaration.rope();
    if (!declaration.has_rope() || !GoesByLength(rope)) continue;
    const int64_t trained = rope.original_max_positions();
    const bool differ = out.trained > 0 && out.trained != trained;
    out.each_own = out.each_own || differ || rope.long_inv_freq_size() == 0;
    out.trained = out.trained == 0 ? trained : std::min(out.trained, trained);
  }
  return out;
}

}  // namespace keel

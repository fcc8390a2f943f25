// Which linears of a model are quantized.
#ifndef KEEL_CORE_WEIGHTS_PACK_FORMAT_H_
#define KEEL_CORE_WEIGHTS_PACK_FORMAT_H_

#include <cstdint>
#include <vector>

#include "core/graph/graph.pb.h"

namespace keel {

// Which objects (number - 1) are linears that a quantized model keeps in its own type: what chooses experts, where a small
// error sends a token elsewhere; the matrix that expands latents (MLA), which attention takes apart; and what has fewer
// outputs than a panel, where it saves nothing.
std::vector<bool> NeverQuantized(const proto::Graph& graph);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_PACK_FORMAT_H_

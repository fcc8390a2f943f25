// The proof that rows of a batch don't mix. One packed batch holds the tokens of many requests; if
// a row of what a model gives depended on another row but through attention and recurrences, which
// the host keeps within a sequence, one request's text could reach another's answer, and chunks,
// preemption and what else is in the batch would change it.
#ifndef KEEL_CORE_GRAPH_ROWS_H_
#define KEEL_CORE_GRAPH_ROWS_H_

#include "absl/status/status.h"
#include "core/graph/graph.pb.h"

namespace keel {

// `function` is forward, logits or pool of `graph`, and verified but for this. The rows, tokens "N"
// or rows "R", are followed from its inputs to its output by the axis rules of the op table; the
// first node that could mix them is refused by name. Sound, not complete: some orders of ops that
// mix nothing are refused too.
absl::Status CheckRowsDontMix(const proto::Graph& graph, const proto::Function& function);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_ROWS_H_

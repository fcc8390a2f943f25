// What a declaration must hold, whoever made it: a plugin (declare.h) or a graph file (verifier.h).
// Inference, sharding and execution compute with these sizes unchecked.
#ifndef KEEL_CORE_GRAPH_DECLARATION_H_
#define KEEL_CORE_GRAPH_DECLARATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/graph/graph.pb.h"

namespace keel {

inline constexpr int64_t kMaxDeclaredSize = int64_t{1} << 30;

// `d` is one of graph.declarations. An error says which field is what, what is allowed, and where
// that is known, which key of config.json it comes from; the caller names the declaration.
absl::Status CheckDeclaration(const proto::Graph& graph, const proto::Declaration& d);

// How wide the rows are that `forward` gets as `embeds`: as the model's embedding of tokens, where the
// graph declares it (ALBERT's and ELECTRA's is narrower than hidden states), else hidden_size.
int64_t EmbeddingSize(const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_DECLARATION_H_

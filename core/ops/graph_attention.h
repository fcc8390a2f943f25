// The attentions that a graph declares, as implementations take them.
#ifndef KEEL_CORE_OPS_GRAPH_ATTENTION_H_
#define KEEL_CORE_OPS_GRAPH_ATTENTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/choose.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/dtype.h"
#include "sdk/abi/plugin.h"

namespace keel {

// How keys and values are kept: the type of their rows, and tokens a block.
struct KvFormat {
  DType dtype = DType::kF32;
  int32_t block_size = 16;
};

// As implementations see it (latent.h). Points into `attention`.
keel_attention_desc DescOf(const proto::Attention& attention);

// How object (from 1), which is an attention, is used; points to `desc`, which is DescOf its own.
AttentionUse UseOf(const proto::Graph& graph, uint32_t object, const keel_attention_desc& desc,
                   DType dtype, KvFormat kv);

// The choice for each attention, by object - 1; objects that are none have an empty one. Errors name
// the object.
absl::StatusOr<std::vector<AttentionChoice>> ChooseAttentions(const proto::Graph& graph,
                                                              const AttentionWish& wish,
                                                              const AttentionRegistry& registry,
                                                              DType dtype, KvFormat kv);

}  // namespace keel

#endif  // KEEL_CORE_OPS_GRAPH_ATTENTION_H_

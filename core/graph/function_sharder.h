// Rewrites one function of a graph for a rank, node by node: what sharding.cc drives.
#ifndef KEEL_CORE_GRAPH_FUNCTION_SHARDER_H_
#define KEEL_CORE_GRAPH_FUNCTION_SHARDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/sharding.h"
#include "core/graph/split.h"
#include "core/graph/tp_plan.h"
#include "core/graph/types.h"

namespace keel {

// What all functions of a graph are sharded by. `parts[i]`: into how many parts the output of the
// colwise object i + 1 is cut, where heads are fewer than ranks.
struct ShardPlan {
  const proto::Graph& global;
  const std::vector<PlannedStyle>& styles;
  const std::vector<int>& parts;
  int ranks;
};

class FunctionSharder {
 public:
  // Sizes and weights of objects that are split are written to `out`.
  FunctionSharder(const ShardPlan& plan, RankGraph& out)
      : global_(plan.global), plan_(plan), ranks_(plan.ranks), out_(out) {}

  absl::StatusOr<proto::Function> Run(const proto::Function& function);

 private:
  struct Value {
    Split split;
    TensorType global, local;
    uint32_t local_id;         // 0: an operand that is absent
    const proto::Node* maker;  // null for an input
    uint32_t origin;           // the object whose rule made it as it is; 0: none
    bool fixed;                // made of parameters and constants alone
  };

  const proto::Declaration& object(const proto::Node& node) const {
    return global_.declarations(static_cast<int>(node.object()) - 1);
  }
  proto::Declaration& local_object(const proto::Node& node) {
    return *out_.graph.mutable_declarations(static_cast<int>(node.object()) - 1);
  }
  WeightSplit& weight(const proto::Node& node) { return out_.weights[node.object() - 1]; }
  TpStyle style(const proto::Node& node) const { return plan_.styles[node.object() - 1].style; }

  // ---- function_sharder.cc: values, and the ops without objects

  absl::Status Shard(const proto::Node& node);
  // The axis goes where the op's row of the table says.
  absl::Status ShardByAxis(const proto::Node& node);
  absl::Status ShardPacked(const proto::Node& node);  // of an operand in packed runs
  absl::Status ShardMatmul(const proto::Node& node);
  absl::Status DivideView(const TensorType& output, const Split& split, proto::Node& local) const;
  // Operands that are whole beside one that is split, where they may be cut.
  absl::Status CutWholeOperands(const proto::Node& node);
  // Replaces operand i, which is whole, by a rank's part of it: always sound.
  absl::Status Cut(int i, const Split& split);
  // What the operands that are split agree on, else an error; whole if none is.
  absl::StatusOr<Split> CommonSplit(const proto::Node& node) const;

  // Adds the local node, over the operands as they are now, with types inferred anew, and checks
  // them against the split that was planned.
  absl::Status Emit(const proto::Node& node, proto::Node local, const Split& split);
  // Replaces the newest value by its sum or concatenation over ranks.
  absl::Status AppendCollective(proto::Op op, int dim);

  // ---- shard_objects.cc: the ops of declared objects

  absl::Status ShardLinear(const proto::Node& node);
  absl::Status ShardRowwise(const proto::Node& node);
  absl::Status ShardEmbed(const proto::Node& node);
  absl::Status ShardParam(const proto::Node& node);
  absl::Status ShardMoe(const proto::Node& node);
  absl::Status ShardAttention(const proto::Node& node);
  absl::Status ShardAttentionArguments(const proto::Node& node, int kv_parts);
  absl::Status ShardLatent(const proto::Node& attention, bool split);
  absl::Status ShardRecur(const proto::Node& node);
  absl::Status ExpectWhole(const proto::Node& node) const;
  // An error unless ranks divide a size of the node's object.
  absl::Status Divide(const proto::Node& node, absl::string_view what, int64_t size) const;
  // An object of the vocabulary, embedding or head, whose size ranks need not divide.
  bool StaysWhole(const proto::Node& node, int64_t size) const;

  // ---- errors

  // "the output of linear model.layers.0.mlp.up_proj, replicated"
  std::string Describe(const Value& x) const;
  // "; check base_model_tp_plan, 'layers.*.mlp.up_proj': rowwise": the rules that have a say.
  std::string CheckPlan(const proto::Node* node, absl::Span<const Value> values) const;
  absl::Status Unsound(const proto::Node& node, absl::string_view what, const Value& found) const;

  const proto::Graph& global_;
  const ShardPlan& plan_;
  const int ranks_;
  RankGraph& out_;
  proto::Function local_;
  std::vector<Value> values_;    // of the global graph's value i + 1
  std::vector<Value> operands_;  // of the node at hand, cut where they were
  uint32_t last_id_ = 0;
};

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_FUNCTION_SHARDER_H_

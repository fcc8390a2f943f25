// How the ops of declared objects are split among ranks, by the style that the plan gives the object.
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/graph/function_sharder.h"
#include "core/graph/op_attributes.h"
#include "core/graph/recurrences.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using proto::Declaration;
using proto::Node;

// How an argument of an attention that is split by heads is cut; nothing: not known.
std::optional<Split> SplitOfArgument(const std::string& name, uint32_t flags, int ranks,
                                     int kv_parts) {
  if (name == "query_distance_bias" || name == "key_distance_bias") return Split{1, ranks};
  if (name == "alibi_slopes" || name == "sinks" || name == "position_bias" ||
      name == "distance_bias" || (flags & KEEL_ARG_PER_HEAD) != 0)
    return Split{0, ranks};
  if ((flags & KEEL_ARG_PER_KV_HEAD) != 0) return kv_parts == 1 ? kWholeValue : Split{0, kv_parts};
  if (name == "segments" || name == "groups" || (flags & KEEL_ARG_PER_TOKEN) != 0)
    return kWholeValue;
  return std::nullopt;
}

// Where a shape of recurrences.h has heads, or groups of them.
int HeadsDim(absl::string_view shape) {
  const size_t dim = shape.find_first_of("HG");
  return dim == absl::string_view::npos ? kNoAxis : static_cast<int>(dim);
}

}  // namespace

absl::Status FunctionSharder::ExpectWhole(const Node& node) const {
  for (const Value& x : operands_) {
    if (!x.split.whole()) return Unsound(node, "needs a whole operand", x);
  }
  return absl::OkStatus();
}

absl::Status FunctionSharder::Divide(const Node& node, absl::string_view what, int64_t size) const {
  if (size % ranks_ == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(what, " of '", object(node).name(), "' is ",
                                                    size, ", which ", ranks_,
                                                    " ranks don't divide"));
}

bool FunctionSharder::StaysWhole(const Node& node, int64_t size) const {
  const std::string& name = object(node).name();
  const proto::ModelSpec& spec = global_.spec();
  return (name == spec.embed_tokens() || name == spec.lm_head()) && size % ranks_ != 0;
}

absl::Status FunctionSharder::ShardLinear(const Node& node) {
  const TpStyle style = this->style(node);
  if (style == TpStyle::kRowwise || style == TpStyle::kPackedRowwise ||
      style == TpStyle::kRowwiseSplitInput)
    return ShardRowwise(node);
  const Value& x = operands_[0];
  if (!x.split.whole()) {
    return Unsound(node,
                   style == TpStyle::kReplicate
                       ? "is in no rule of the plan: it takes a whole input"
                       : "is colwise: it takes a whole input",
                   x);
  }
  const int64_t whole = object(node).linear().out();
  const int last = x.global.rank() - 1;
  const bool gather = style == TpStyle::kColwiseGather;
  if (style == TpStyle::kReplicate || (gather && StaysWhole(node, whole)))
    return Emit(node, node, kWholeValue);
  Split split{last, gather ? ranks_ : plan_.parts[node.object() - 1]};
  if (style == TpStyle::kPackedColwise) split = {last, ranks_, 2};
  if (split.parts == 1) return Emit(node, node, kWholeValue);  // one head for all
  if (whole % (split.parts * split.packs) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the output size of '", object(node).name(), "' is ", whole, ", which ",
                     split.parts, " ranks don't divide", split.packs > 1 ? " in halves" : ""));
  }
  local_object(node).mutable_linear()->set_out(whole / split.parts);
  weight(node) = {WeightSplit::kRows, split.parts, split.packs};
  KEEL_RETURN_IF_ERROR(Emit(node, node, split));
  return gather ? AppendCollective(proto::OP_ALL_GATHER, last) : absl::OkStatus();
}

absl::Status FunctionSharder::ShardRowwise(const Node& node) {
  const TpStyle style = this->style(node);
  const int64_t whole = object(node).linear().in();
  const Split wanted{operands_[0].global.rank() - 1, ranks_,
                     style == TpStyle::kPackedRowwise ? 2 : 1};
  KEEL_RETURN_IF_ERROR(Divide(node, "the input size", whole));
  if (style == TpStyle::kRowwiseSplitInput) {
    if (!operands_[0].split.whole()) {
      return Unsound(node, "is rowwise_split_input: it takes a whole input and splits it",
                     operands_[0]);
    }
    KEEL_RETURN_IF_ERROR(Cut(0, wanted));
  }
  if (operands_[0].split != wanted) {
    return Unsound(node,
                   absl::StrCat(wanted.packs > 1 ? "is packed_rowwise" : "is rowwise",
                                ": it takes an input that is ", ToString(wanted)),
                   operands_[0]);
  }
  local_object(node).mutable_linear()->set_in(whole / ranks_);
  weight(node) = {WeightSplit::kColumns, ranks_, wanted.packs};
  KEEL_RETURN_IF_ERROR(Emit(node, node, kWholeValue));
  return AppendCollective(proto::OP_ALL_REDUCE, 0);
}

// By rows: a rank gives zeros for the ids that are not its own. By columns: its part of each row.
absl::Status FunctionSharder::ShardEmbed(const Node& node) {
  const proto::Embedding& whole = object(node).embedding();
  const bool rows = style(node) == TpStyle::kEmbeddingRows;
  const bool split = rows || style(node) == TpStyle::kEmbeddingColumns;
  if (!split || (rows && StaysWhole(node, whole.rows()))) return ShardByAxis(node);
  KEEL_RETURN_IF_ERROR(ExpectWhole(node));
  KEEL_RETURN_IF_ERROR(
      Divide(node, rows ? "the number of rows" : "the size", rows ? whole.rows() : whole.size()));
  weight(node) = {rows ? WeightSplit::kRows : WeightSplit::kColumns, ranks_};
  proto::Embedding* local = local_object(node).mutable_embedding();
  if (rows) {
    local->set_rows(whole.rows() / ranks_);
    KEEL_RETURN_IF_ERROR(Emit(node, node, kWholeValue));
    return AppendCollective(proto::OP_ALL_REDUCE, 0);
  }
  local->set_size(whole.size() / ranks_);
  const int last = operands_[0].global.rank();
  KEEL_RETURN_IF_ERROR(Emit(node, node, {last, ranks_}));
  return AppendCollective(proto::OP_ALL_GATHER, last);
}

absl::Status FunctionSharder::ShardParam(const Node& node) {
  if (style(node) == TpStyle::kReplicate) return Emit(node, node, kWholeValue);
  const proto::Type& whole = object(node).param().type();
  if (whole.dims().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "is colwise: it has no dimension to split, expected one", CheckPlan(&node, {})));
  }
  const int parts = plan_.parts[node.object() - 1];
  if (parts == 1) return Emit(node, node, kWholeValue);
  if (whole.dims(0).size() % parts != 0)
    return Divide(node, "the first dimension", whole.dims(0).size());
  local_object(node).mutable_param()->mutable_type()->mutable_dims(0)->set_size(
      whole.dims(0).size() / parts);
  weight(node) = {WeightSplit::kRows, parts};
  return Emit(node, node, {0, parts});
}

// Every rank routes alike and has a part of every expert, or every part of some.
absl::Status FunctionSharder::ShardMoe(const Node& node) {
  KEEL_RETURN_IF_ERROR(ExpectWhole(node));
  const proto::Moe& whole = object(node).moe();
  switch (style(node)) {
    case TpStyle::kExperts:
      KEEL_RETURN_IF_ERROR(
          Divide(node, "the experts' intermediate size", whole.intermediate_size()));
      local_object(node).mutable_moe()->set_intermediate_size(whole.intermediate_size() / ranks_);
      weight(node) = {WeightSplit::kExperts, ranks_};
      break;
    case TpStyle::kExpertsApart:
      KEEL_RETURN_IF_ERROR(Divide(node, "the number of experts", whole.experts()));
      weight(node) = {WeightSplit::kExpertsApart, ranks_};
      break;
    default:
      return Emit(node, node, kWholeValue);
  }
  KEEL_RETURN_IF_ERROR(Emit(node, node, kWholeValue));
  return AppendCollective(proto::OP_ALL_REDUCE, 0);
}

// By heads of q; keys and values by theirs, of which neighbours share one where they are few.
absl::Status FunctionSharder::ShardAttention(const Node& node) {
  const proto::Attention& whole = object(node).attention();
  const Value q = operands_[0];
  const bool split = !q.split.whole();
  if (split && q.split != Split{1, ranks_}) return Unsound(node, "takes q split by heads", q);
  const int parts = split ? PartsOfHeads(whole.kv_heads(), ranks_) : 1;
  if (parts == 0) return Divide(node, "kv_heads (num_key_value_heads)", whole.kv_heads());
  const Split wanted = parts == 1 ? kWholeValue : Split{1, parts};
  for (int i = 1; i < 3; ++i) {
    if (operands_[i].local_id == 0 || operands_[i].split == wanted) continue;
    return Unsound(node,
                   absl::StrCat("takes q ", ToString(q.split), " and operand ", i, " ",
                                ToString(wanted), " in ", parts, " parts"),
                   operands_[i]);
  }
  KEEL_RETURN_IF_ERROR(ShardAttentionArguments(node, parts));
  if (whole.kind() == proto::Attention::MLA) KEEL_RETURN_IF_ERROR(ShardLatent(node, split));
  if (!split) return Emit(node, node, kWholeValue);
  KEEL_RETURN_IF_ERROR(Divide(node, "heads (num_attention_heads)", whole.heads()));
  proto::Attention* d = local_object(node).mutable_attention();
  d->set_heads(whole.heads() / ranks_);
  d->set_kv_heads(whole.kv_heads() / parts);
  return Emit(node, node, q.split);
}

// Latents are whole; what expands them is split with the heads.
absl::Status FunctionSharder::ShardLatent(const Node& attention, bool split) {
  const uint32_t up = object(attention).attention().kv_up();
  const Declaration& whole = global_.declarations(static_cast<int>(up) - 1);
  if (plan_.styles[up - 1].style != (split ? TpStyle::kColwise : TpStyle::kReplicate)) {
    return Unsound(attention,
                   absl::StrCat("expects ", whole.name(), " (", plan_.styles[up - 1].rule,
                                ") to be ", split ? "colwise" : "replicate", " as its queries"),
                   operands_[0]);
  }
  if (!split) return absl::OkStatus();
  out_.graph.mutable_declarations(static_cast<int>(up) - 1)
      ->mutable_linear()
      ->set_out(whole.linear().out() / ranks_);
  out_.weights[up - 1] = {WeightSplit::kRows, ranks_};
  return absl::OkStatus();
}

absl::Status FunctionSharder::ShardAttentionArguments(const Node& node, int kv_parts) {
  const bool split = !operands_[0].split.whole();
  const op::Arguments args(node);
  for (int i = 0; i < args.size(); ++i) {
    if (!args.operand(i).has_value()) continue;
    const std::string& name = args.name(i);
    const std::optional<Split> wanted =
        split ? SplitOfArgument(name, args.flags(i), ranks_, kv_parts) : kWholeValue;
    if (!wanted.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "has the argument '", name,
          "', of which this host doesn't know whether it goes by heads; expected alibi_slopes, "
          "sinks, position_bias, distance_bias, query_distance_bias, key_distance_bias, groups or "
          "segments, or one flagged KEEL_ARG_PER_HEAD, KEEL_ARG_PER_KV_HEAD or "
          "KEEL_ARG_PER_TOKEN"));
    }
    const int at = *args.operand(i);
    if (operands_[at].split.whole()) KEEL_RETURN_IF_ERROR(Cut(at, *wanted));
    if (operands_[at].split != *wanted)
      return Unsound(node, absl::StrCat("takes its argument ", name, " as q is split"),
                     operands_[at]);
  }
  return absl::OkStatus();
}

// By heads or channels where x is; what is whole beside it is cut.
absl::Status FunctionSharder::ShardRecur(const Node& node) {
  if (operands_[0].split.whole()) {  // the state is whole
    KEEL_RETURN_IF_ERROR(ExpectWhole(node));
    return Emit(node, node, kWholeValue);
  }
  const RecurrenceRow& row = *FindRecurrence(op::Recur(node).kind());
  if (operands_[0].split != Split{HeadsDim(row.x.shape), ranks_})
    return Unsound(node, "takes x split by heads", operands_[0]);
  const op::Arguments args(node);
  for (int i = 0; i < args.size(); ++i) {
    if (!args.operand(i).has_value()) continue;
    const int at = *args.operand(i);
    const TensorType& type = operands_[at].global;
    const int dim = HeadsDim(row.FindArg(args.name(i))->ShapeOfRank(type.rank()));
    const int64_t count = dim == kNoAxis ? 1 : type.dims[dim].size;
    const int parts = PartsOfHeads(count, ranks_);
    if (parts == 0) return Divide(node, absl::StrCat("the groups of ", args.name(i)), count);
    const Split wanted = parts == 1 ? kWholeValue : Split{dim, parts};
    if (operands_[at].split.whole()) KEEL_RETURN_IF_ERROR(Cut(at, {dim, parts}));
    if (operands_[at].split != wanted) {
      return Unsound(node, absl::StrCat("takes x split by heads, and ", args.name(i), " too"),
                     operands_[at]);
    }
  }
  const int64_t heads = object(node).state().type().dims(0).size();
  KEEL_RETURN_IF_ERROR(Divide(node, "the first dimension", heads));
  local_object(node).mutable_state()->mutable_type()->mutable_dims(0)->set_size(heads / ranks_);
  return Emit(node, node, {HeadsDim(row.out), ranks_});
}

}  // namespace keel

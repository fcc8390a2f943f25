#include "core/graph/op_table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "core/graph/op_attributes.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int kAny = -1;

// What the column `rows` says of many ops.
constexpr char kElements[] = "", kDim[] = "not along `dim`",
               kLast[] = "not along the last dimension";

// Only attention's k and v may be absent.
bool MayBeMissing(proto::Op op, size_t input) {
  return op == proto::OP_ATTENTION && (input == 1 || input == 2);
}

absl::Status CheckCount(absl::string_view what, int count, const std::vector<const char*>& names,
                        int besides) {
  const bool any = !names.empty() && absl::EndsWith(names.back(), "...");
  const int expected = static_cast<int>(names.size()) + besides;
  if (any || count == expected) return absl::OkStatus();
  return Bad(absl::StrCat("has ", count, " ", what),
             names.empty() ? absl::StrCat(expected) : absl::StrJoin(names, ", "));
}

// Each name's position is the next operand's, or says that a number follows.
absl::Status CheckArguments(const proto::Node& node, int operands) {
  const int fixed = op::FixedOperands(node.op());
  const op::Arguments args(node);
  int tensors = 0, numbers = 0;
  for (int i = 0; i < args.size(); ++i) {
    const int64_t position = args.position(i);
    if (position == -1) {
      ++numbers;
    } else if (position != tensors++) {
      return Bad(
          absl::StrCat("argument '", Shown(args.name(i)), "' is operand ", position, " of them"),
          absl::StrCat(tensors - 1, ": in order"));
    }
  }
  if (operands == fixed + tensors && node.reals_size() == numbers) return absl::OkStatus();
  return Bad(absl::StrCat("has ", operands, " operands and ", node.reals_size(), " numbers"),
             absl::StrCat(fixed + tensors, " and ", numbers, " by its named arguments"));
}

absl::Status CheckAttributes(const OpRow& row, const proto::Node& node, int operands) {
  const bool named = op::FixedOperands(row.op) >= 0;
  const int names = node.names_size();
  if (!named && names > 0) return Bad(absl::StrCat("has ", names, " named arguments"), "none");
  const int flags = node.arg_flags_size();
  if (flags > (row.op == proto::OP_ATTENTION ? names : 0)) {
    return Bad(absl::StrCat("has flags of ", flags, " arguments"),
               "at most as many as an attention has arguments, and none elsewhere");
  }
  KEEL_RETURN_IF_ERROR(
      CheckCount("integer attributes", node.ints_size(), row.ints, named ? names : 0));
  if (named) return CheckArguments(node, operands);
  return CheckCount("number attributes", node.reals_size(), row.reals, 0);
}

// What opset 3 has beside ops: bounds of a mixture's MLP, flags of arguments, UNSTACK, latent attention, and
// recurrences but the first two.
bool NeedsThird(const proto::Graph& graph) {
  for (const proto::Declaration& d : graph.declarations()) {
    if (d.moe().limit() != 0 || d.moe().up_offset() != 0 || d.attention().kv_up() != 0) return true;
  }
  for (const proto::ModelSpec::Rename& rename : graph.spec().renames()) {
    if (rename.op() == proto::ModelSpec::Rename::UNSTACK) return true;
  }
  for (const proto::Function& function : graph.functions()) {
    for (const proto::Node& node : function.nodes()) {
      if (!node.arg_flags().empty()) return true;
      const bool recurs = node.op() == proto::OP_RECUR && !node.ints().empty();  // not verified yet
      if (recurs && op::Recur(node).kind() > KEEL_RECUR_SSD) return true;
    }
  }
  return false;
}

}  // namespace

const std::vector<OpRow>& OpTable() {
#define KEEL_OP(op, name) proto::OP_##op, #name, offsetof(keel_ops, name)
  // clang-format off
  static const auto* table = new std::vector<OpRow>{
      // op, name                     operands   attributes                types             axis
      {KEEL_OP(LINEAR, linear),           1, 1, {}, {}, InferLinear, AxisBesideLast, kLast},
      {KEEL_OP(EMBED, embed),             1, 1, {}, {}, InferEmbed, AxisOfEmbed, kElements},
      {KEEL_OP(NORM, norm),               1, 1, {}, {}, InferNorm, AxisBesideLast, kLast},
      {KEEL_OP(ROPE, rope),               2, 2, {}, {}, InferRope, AxisOfRope,
       "each with its own position"},
      {KEEL_OP(ATTENTION, attention),  3, kAny, {}, {}, InferAttention, AxisOfSequences,
       "within a sequence; no `segments` in forward, `groups` only forward's input"},
      {KEEL_OP(MOE, moe),                 2, 2, {}, {}, InferMoe, AxisOfMoe, kLast},
      {KEEL_OP(MOE_ROUTED, moe_routed),   3, 3, {}, {}, InferMoe, AxisOfMoe, kLast},
      {KEEL_OP(CONV, conv),               1, 1, {}, {}, InferConv, AxisOfConv,
       "not over them, unless kernel and stride are 1"},
      {KEEL_OP(RECUR, recur),          1, kAny, {"kind"}, {}, InferRecur, AxisOfSequences,
       "within a sequence"},
      {KEEL_OP(PARAM, param),             0, 0, {}, {}, InferParam, AxisOfNone, kElements},
      {KEEL_OP(CALL, call),            0, kAny, {}, {}, InferKernelCall, AxisOfKernel,
       "each by itself as its class promises, or with states within a sequence", 2},
      {KEEL_OP(ADD, add),                 2, 2, {}, {}, InferBinary, AxisOfElements, kElements},
      {KEEL_OP(SUB, sub),                 2, 2, {}, {}, InferBinary, AxisOfElements, kElements},
      {KEEL_OP(MUL, mul),                 2, 2, {}, {}, InferBinary, AxisOfElements, kElements},
      {KEEL_OP(DIV, div),                 2, 2, {}, {}, InferBinary, AxisOfElements, kElements},
      {KEEL_OP(AFFINE, affine),           1, 1, {}, {"mul", "add"}, InferAffine, AxisOfElements,
       kElements},
      {KEEL_OP(CLAMP, clamp),             1, 1, {}, {"low", "high"}, InferAffine, AxisOfElements,
       kElements},
      {KEEL_OP(UNARY, unary),             1, 1, {"kind"}, {}, InferUnary, AxisOfElements,
       kElements},
      {KEEL_OP(ACT_MUL, act_mul),         2, 2, {"act"}, {}, InferActMul, AxisOfElements,
       kElements},
      {KEEL_OP(MATMUL, matmul),           2, 2, {}, {}, InferMatmul, AxisOfMatmul,
       "of one operand only, or a batch dimension of both"},
      {KEEL_OP(SOFTMAX, softmax),         1, 1, {"dim"}, {}, InferAlongDim, AxisBesideDim, kDim},
      {KEEL_OP(REDUCE, reduce),           1, 1, {"dim", "kind", "keep_dim"}, {}, InferReduce,
       AxisOfReduce, kDim},
      {KEEL_OP(CUMSUM, cumsum),           1, 1, {"dim"}, {}, InferAlongDim, AxisBesideDim, kDim},
      {KEEL_OP(TOPK, topk),               1, 1, {"k"}, {}, InferTopk, AxisBesideLast, kLast},
      {KEEL_OP(CAST, cast),               1, 1, {"dtype"}, {}, InferCast, AxisOfElements,
       kElements},
      {KEEL_OP(VIEW, view),               1, 1, {"dims ..."}, {}, InferView, AxisOfView,
       "keeps whole rows"},
      {KEEL_OP(PERMUTE, permute),         1, 1, {"order ..."}, {}, InferPermute, AxisOfPermute,
       kElements},
      {KEEL_OP(NARROW, narrow),           1, 1, {"dim", "start", "length"}, {}, InferNarrow,
       AxisBesideDim, kDim},
      {KEEL_OP(CAT, cat),              1, kAny, {"dim"}, {}, InferCat, AxisOfCat, kDim},
      {KEEL_OP(REPEAT, repeat),           1, 1, {"dim", "times"}, {}, InferRepeat, AxisOfRepeat,
       kElements},
      {KEEL_OP(WHERE, where),             3, 3, {}, {}, InferWhere, AxisOfElements, kElements},
      {KEEL_OP(GATHER_ROWS, gather_rows), 2, 2, {}, {}, InferGatherRows, AxisOfGatherRows,
       "not out of them"},
      {KEEL_OP(PUT_ROWS, put_rows),       3, 3, {}, {}, InferPutRows, AxisOfPutRows,
       "not into them"},
      {KEEL_OP(CONSTANT, constant),       0, 0, {}, {}, InferConstant, AxisOfNone, kElements},
      {KEEL_OP(MARK, mark),               0, 0, {"kind", "index"}, {}, InferMark, AxisOfNone,
       kElements},
      {KEEL_OP(COMPARE, compare),         2, 2, {"kind"}, {}, InferOfKind, AxisOfElements,
       kElements, 2},
      {KEEL_OP(LOGICAL, logical),         2, 2, {"kind"}, {}, InferOfKind, AxisOfElements,
       kElements, 2},
      {KEEL_OP(BINARY, binary),           2, 2, {"kind"}, {}, InferOfKind, AxisOfElements,
       kElements, 2},
      {KEEL_OP(TAKE, take),               2, 2, {"dim"}, {}, InferTake, AxisOfTake, kDim, 2},
      {KEEL_OP(SCATTER, scatter),         3, 3, {"dim"}, {}, InferScatter, AxisOfScatter, kDim, 2},
      {KEEL_OP(EXPAND, expand),           2, 2, {}, {}, InferExpand, AxisOfElements, kElements, 2},
  };
  // clang-format on
#undef KEEL_OP
  return *table;
}

const OpRow* FindOp(proto::Op op) {
  static const auto* by_op = [] {
    auto* rows = new std::vector<const OpRow*>;
    for (const OpRow& row : OpTable()) {
      rows->resize(std::max(rows->size(), static_cast<size_t>(row.op) + 1));
      (*rows)[row.op] = &row;
    }
    return rows;
  }();
  if (op < 0 || static_cast<size_t>(op) >= by_op->size()) return nullptr;
  return (*by_op)[op];
}

InferredTypes InferTypes(const proto::Graph& graph, const proto::Node& node,
                         absl::Span<const TensorType* const> inputs) {
  const OpRow* row = FindOp(node.op());
  if (row == nullptr)
    return absl::UnimplementedError(absl::StrCat("op ", node.op(), " is not known to this host"));
  const int n = static_cast<int>(inputs.size());
  if (n < row->min_operands || (row->max_operands != kAny && n > row->max_operands)) {
    return Bad(absl::StrCat("got ", n, " operands"),
               row->max_operands == kAny ? absl::StrCat("at least ", row->min_operands)
                                         : absl::StrCat(row->min_operands));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr && !MayBeMissing(node.op(), i))
      return Bad(absl::StrCat("operand ", i, " is missing"), "a tensor");
  }
  KEEL_RETURN_IF_ERROR(CheckAttributes(*row, node, n));
  return row->infer({graph, node, inputs});
}

uint32_t OpsetOf(const proto::Graph& graph) {
  uint32_t opset = NeedsThird(graph) ? 3 : 1;
  for (const proto::Function& function : graph.functions()) {
    for (const proto::Node& node : function.nodes()) {
      const OpRow* row = FindOp(node.op());
      if (row != nullptr) opset = std::max(opset, row->opset);
    }
  }
  return opset;
}

std::string NodeName(const proto::Graph& graph, const proto::Node& node) {
  const OpRow* row = FindOp(node.op());
  const std::string op =
      row != nullptr ? row->name
                     : absl::AsciiStrToLower(absl::StripPrefix(proto::Op_Name(node.op()), "OP_"));
  if (node.object() == 0 || node.object() > static_cast<uint32_t>(graph.declarations_size()))
    return op;
  return absl::StrCat(op, " ",
                      Shown(graph.declarations(static_cast<int>(node.object()) - 1).name()));
}

}  // namespace keel

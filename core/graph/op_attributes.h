// What the attributes of each op mean: the one place that knows at which position of a node's ints
// and reals one lies. They are of a node that op_table.h has checked.
#ifndef KEEL_CORE_GRAPH_OP_ATTRIBUTES_H_
#define KEEL_CORE_GRAPH_OP_ATTRIBUTES_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"

namespace keel::op {

// A node without operands yet.
inline proto::Node MakeNode(proto::Op op, uint32_t object = 0,
                            std::initializer_list<int64_t> ints = {},
                            std::initializer_list<double> reals = {}) {
  proto::Node node;
  node.set_op(op);
  node.set_object(object);
  node.mutable_ints()->Add(ints.begin(), ints.end());
  node.mutable_reals()->Add(reals.begin(), reals.end());
  return node;
}

class Attributes {
 public:
  explicit Attributes(const proto::Node& node) : node_(node) {}

 protected:
  int64_t Int(int i) const { return node_.ints(i); }
  double Real(int i) const { return node_.reals(i); }
  const proto::Node& node_;
};

// x * mul + add
struct Affine : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(double mul, double add) {
    return MakeNode(proto::OP_AFFINE, 0, {}, {mul, add});
  }
  double mul() const { return Real(0); }
  double add() const { return Real(1); }
};

struct Clamp : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(double low, double high) {
    return MakeNode(proto::OP_CLAMP, 0, {}, {low, high});
  }
  double low() const { return Real(0); }
  double high() const { return Real(1); }
};

struct Unary : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t kind) { return MakeNode(proto::OP_UNARY, 0, {kind}); }
  int64_t kind() const { return Int(0); }  // KEEL_UNARY_*
};

struct ActMul : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t act) { return MakeNode(proto::OP_ACT_MUL, 0, {act}); }
  int64_t act() const { return Int(0); }  // KEEL_ACT_*
};

// Compare, logical, binary: KEEL_COMPARE_*, KEEL_LOGICAL_*, KEEL_BINARY_*.
struct OfKind : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(proto::Op op, int64_t kind) { return MakeNode(op, 0, {kind}); }
  int64_t kind() const { return Int(0); }
};

// Softmax, cumsum, cat, take, scatter, an all-gather: their one attribute is a dimension.
struct AlongDim : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(proto::Op op, int64_t dim) { return MakeNode(op, 0, {dim}); }
  int64_t dim() const { return Int(0); }
};

// A rank's part of a whole value, in a rank's graph: of each of `packs` equal runs of `dim`, the
// rank's of `parts`.
struct RankPart : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t dim, int64_t parts, int64_t packs) {
    return MakeNode(proto::OP_RANK_PART, 0, {dim, parts, packs});
  }
  int64_t dim() const { return Int(0); }
  int64_t parts() const { return Int(1); }
  int64_t packs() const { return Int(2); }
};

struct Reduce : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t dim, int64_t kind, bool keep_dim) {
    return MakeNode(proto::OP_REDUCE, 0, {dim, kind, keep_dim});
  }
  int64_t dim() const { return Int(0); }
  int64_t kind() const { return Int(1); }  // KEEL_REDUCE_*
  bool keep_dim() const { return Int(2) != 0; }
};

struct TopK : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t k) { return MakeNode(proto::OP_TOPK, 0, {k}); }
  int64_t k() const { return Int(0); }
};

struct Cast : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t dtype) { return MakeNode(proto::OP_CAST, 0, {dtype}); }
  int64_t dtype() const { return Int(0); }  // proto::DataType
};

struct View : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(absl::Span<const int64_t> dims) {
    proto::Node node = MakeNode(proto::OP_VIEW);
    node.mutable_ints()->Add(dims.begin(), dims.end());
    return node;
  }
  absl::Span<const int64_t> dims() const { return node_.ints(); }  // 0: keep, -1: infer
  static void SetDim(proto::Node& node, int i, int64_t size) { node.set_ints(i, size); }
};

struct Permute : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(absl::Span<const int32_t> order) {
    proto::Node node = MakeNode(proto::OP_PERMUTE);
    node.mutable_ints()->Add(order.begin(), order.end());
    return node;
  }
  absl::Span<const int64_t> order() const { return node_.ints(); }
};

struct Narrow : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t dim, int64_t start, int64_t length) {
    return MakeNode(proto::OP_NARROW, 0, {dim, start, length});
  }
  int64_t dim() const { return Int(0); }
  int64_t start() const { return Int(1); }
  int64_t length() const { return Int(2); }
};

struct Repeat : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t dim, int64_t times) {
    return MakeNode(proto::OP_REPEAT, 0, {dim, times});
  }
  int64_t dim() const { return Int(0); }
  int64_t times() const { return Int(1); }
};

struct Mark : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(int64_t kind, int64_t index) {
    return MakeNode(proto::OP_MARK, 0, {kind, index});
  }
  int64_t kind() const { return Int(0); }  // KEEL_MARK_*
  int64_t index() const { return Int(1); }
};

// How many operands come before the named arguments of an op that takes such, else -1.
inline int FixedOperands(proto::Op op) {
  return op == proto::OP_ATTENTION ? 3 : op == proto::OP_RECUR ? 1 : -1;
}

// The named arguments of an attention or a recurrence. A node's names are theirs; its last ints,
// one a name, say which of the operands behind the fixed ones it is, or -1: the next of reals.
class Arguments : public Attributes {
 public:
  explicit Arguments(const proto::Node& node)
      : Attributes(node), first_int_(node.ints_size() - node.names_size()) {}

  int size() const { return node_.names_size(); }
  const std::string& name(int i) const { return node_.names(i); }
  int64_t position(int i) const { return Int(first_int_ + i); }
  // The index among the node's operands, fixed ones included; none: a number.
  std::optional<int> operand(int i) const {
    if (position(i) < 0) return std::nullopt;
    return FixedOperands(node_.op()) + static_cast<int>(position(i));
  }
  double number(int i) const {
    int before = 0;
    for (int j = 0; j < i; ++j) before += position(j) < 0;
    return Real(before);
  }
  // KEEL_ARG_*.
  uint32_t flags(int i) const { return i < node_.arg_flags_size() ? node_.arg_flags(i) : 0; }
  // The first of that name; -1: none.
  int Find(absl::string_view name) const {
    for (int i = 0; i < size(); ++i) {
      if (node_.names(i) == name) return i;
    }
    return -1;
  }

  static void AddTensor(proto::Node& node, absl::string_view name, int position) {
    node.add_names(std::string(name));
    node.add_ints(position);
  }
  static void AddNumber(proto::Node& node, absl::string_view name, double number) {
    node.add_names(std::string(name));
    node.add_ints(-1);
    node.add_reals(number);
  }
  // Of argument `i`, the last that was added.
  static void SetFlags(proto::Node& node, uint32_t i, uint32_t flags) {
    while (node.arg_flags_size() <= static_cast<int>(i)) node.add_arg_flags(0);
    node.set_arg_flags(static_cast<int>(i), flags);
  }

 private:
  const int first_int_;
};

struct Recur : Attributes {
  using Attributes::Attributes;
  static proto::Node Make(uint32_t state, int64_t kind) {
    return MakeNode(proto::OP_RECUR, state, {kind});
  }
  int64_t kind() const { return Int(0); }  // KEEL_RECUR_*
};

}  // namespace keel::op
#endif  // KEEL_CORE_GRAPH_OP_ATTRIBUTES_H_

// What lies between a recorded graph and the calls of a step: one straight list of ops over typed values, in which
// views are no ops but ways to lie in another value's memory.
//
// A function covers a whole step, from token ids to logits: the graph's own functions are joined in it
// (step_function.h), passes rewrite it (pass.h), and calls are made of it (program.h). Sizes are numbers, "N" (tokens
// of the step) or "R" (rows whose logits are wanted), times a fraction.
#ifndef KEEL_CORE_COMPILE_IR_H_
#define KEEL_CORE_COMPILE_IR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/graph/graph.pb.h"
#include "core/graph/types.h"
#include "core/tensor/dtype.h"

namespace keel::ir {

inline constexpr char kTokens[] = "N", kRows[] = "R";

using ValueId = int;
inline constexpr ValueId kNoValue = -1;  // an operand that is not given

// How elements lie behind the first of `base`: a stride a dimension, in elements.
struct Layout {
  int64_t offset = 0;
  std::vector<Extent> strides;
};

struct Value {
  enum class Kind { kInput, kConstant, kComputed };

  Kind kind = Kind::kComputed;
  TensorType type;          // never of the type MODEL
  ValueId base = kNoValue;  // whose memory it lies in; its own number: it has some of its own
  Layout layout;
  std::string name;     // of an input
  at::Tensor constant;  // of a constant, contiguous

  DType dtype() const { return static_cast<DType>(type.dtype); }
};

enum class Code {
  kNode,     // a recorded op
  kCopy,     // x -> x, contiguous
  kGather,   // x [N, ..], rows i64 [R] -> [R, ..]
  kLinears,  // x, residual? -> an output for each of `objects`; a residual is added to the only one
  kAddNorm,  // a, b -> a + b, norm(a + b)
  kWriteKv,  // k, v -> none: into the cache's blocks
  kRopeWrite,  // q, k, v, positions -> q rotated; k rotated and v go into the cache's blocks
  kAttend,     // q -> [N, heads, v_dim], over the cache's blocks
  kRoute,      // logits [N, experts] -> chosen i64 [N, top_k], weights f32 [N, top_k]
  kExperts,    // x, chosen, weights -> [N, hidden], memory that it needs meanwhile
};

struct Op {
  Code code = Code::kNode;
  // Attributes and object as they were recorded, of the op that is named below; inputs and outputs are not looked at.
  //   kAddNorm the norm, kWriteKv, kAttend, kRopeWrite the attention, kRoute, kExperts the mixture
  proto::Node node;
  std::vector<ValueId> inputs, outputs;
  std::vector<uint32_t> objects;  // kLinears: theirs; kRopeWrite: the rope

  bool Is(proto::Op op) const { return code == Code::kNode && node.op() == op; }
};

struct Function {
  std::vector<Value> values;
  std::vector<Op> ops;
  std::vector<ValueId> outputs;

  const TensorType& type(ValueId id) const { return values[id].type; }
};

// a * b; nullopt: both have a symbol.
std::optional<Extent> Times(const Extent& a, const Extent& b);
// Of all elements; nullopt: of two symbols.
std::optional<Extent> NumElements(const std::vector<Extent>& dims);
// nullopt: the sizes are of more symbols than one.
std::optional<std::vector<Extent>> ContiguousStrides(const std::vector<Extent>& dims);
bool IsContiguous(const Value& value);
// Whether the last `n` dimensions lie side by side.
bool IsDenseInLast(const Value& value, int n);

// Adds a value with memory of its own. Its sizes have one symbol at most (the caller checks).
ValueId AddValue(Function& function, TensorType type);
ValueId AddInput(Function& function, std::string name, TensorType type);
ValueId AddConstant(Function& function, at::Tensor constant);
// A view of `of`, whose layout counts from that value's first element.
ValueId AddView(Function& function, ValueId of, TensorType type, Layout layout);

// For passes: how often each value is read, views counted for themselves and for what they view; outputs are reads too.
std::vector<int> CountUses(const Function& function);
// The op that makes what `id` lies in; -1: none, it is an input or a constant.
int MakerOf(const Function& function, ValueId id);

// Whether both are the same elements in the same order.
bool IsSame(const Function& function, ValueId a, ValueId b);
// The op after `from` that reads `id` or a view of it; -1: none.
int NextReader(const Function& function, ValueId id, int from);

// As text, an op a line; `graph` has the objects' names.
std::string ToString(const Function& function, const proto::Graph& graph);

}  // namespace keel::ir
#endif  // KEEL_CORE_COMPILE_IR_H_

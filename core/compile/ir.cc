#include "core/compile/ir.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/graph/op_table.h"
#include "core/tensor/aten.h"

namespace keel::ir {
namespace {

const char* CodeName(Code code) {
  switch (code) {
    case Code::kNode:
      return "";
    case Code::kCopy:
      return "copy";
    case Code::kGather:
      return "gather";
    case Code::kLinears:
      return "linears";
    case Code::kAddNorm:
      return "add_norm";
    case Code::kWriteKv:
      return "write_kv";
    case Code::kRopeWrite:
      return "rope_write";
    case Code::kAttend:
      return "attend";
    case Code::kRoute:
      return "route";
    case Code::kExperts:
      return "experts";
  }
  return "";
}

std::string OpName(const Op& op, const proto::Graph& graph) {
  const auto name_of = [&](std::string* out, uint32_t object) {
    absl::StrAppend(out, graph.declarations(static_cast<int>(object) - 1).name());
  };
  if (op.code == Code::kLinears)
    return absl::StrCat("linears ", absl::StrJoin(op.objects, ", ", name_of));
  std::string name = CodeName(op.code);
  if (op.code == Code::kNode) return NodeName(graph, op.node);
  if (op.node.object() == 0) return name;
  name.append(" ");
  name_of(&name, op.node.object());
  return name;
}

// "%7", and of a view "%7 in %5".
std::string Name(const Function& function, ValueId id) {
  if (id == kNoValue) return "-";
  const Value& value = function.values[id];
  if (value.kind == Value::Kind::kInput) return value.name;
  const std::string name = absl::StrCat("%", id);
  return value.base == id ? name : absl::StrCat(name, " in %", value.base);
}

}  // namespace

std::optional<Extent> Times(const Extent& a, const Extent& b) {
  if (a.symbolic() && b.symbolic()) return std::nullopt;
  Extent out{a.size * b.size, a.symbolic() ? a.symbol : b.symbol, a.divisor * b.divisor};
  const int64_t common = std::gcd(out.size, out.divisor);
  if (common > 1) out.size /= common, out.divisor /= common;
  return out;
}

std::optional<Extent> NumElements(const std::vector<Extent>& dims) {
  std::optional<Extent> out = Extent{1, "", 1};
  for (const Extent& dim : dims) {
    if (out.has_value()) out = Times(*out, dim);
  }
  return out;
}

std::optional<std::vector<Extent>> ContiguousStrides(const std::vector<Extent>& dims) {
  std::vector<Extent> strides(dims.size());
  Extent stride{1, "", 1};
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    const std::optional<Extent> next = Times(stride, dims[i]);
    if (!next.has_value()) return std::nullopt;
    stride = *next;
  }
  return strides;
}

bool IsContiguous(const Value& value) { return IsDenseInLast(value, value.type.rank()); }

bool IsDenseInLast(const Value& value, int n) {
  const std::vector<Extent>& dims = value.type.dims;
  const size_t first = dims.size() - static_cast<size_t>(n);
  const auto dense = ContiguousStrides({dims.begin() + static_cast<int64_t>(first), dims.end()});
  if (!dense.has_value()) return false;
  for (size_t i = first; i < dims.size(); ++i) {
    if (!dims[i].is(1) && value.layout.strides[i] != (*dense)[i - first]) return false;
  }
  return true;
}

ValueId AddValue(Function& function, TensorType type) {
  Value value;
  value.layout.strides = *ContiguousStrides(type.dims);
  value.type = std::move(type);
  value.base = static_cast<ValueId>(function.values.size());
  function.values.push_back(std::move(value));
  return function.values.back().base;
}

ValueId AddInput(Function& function, std::string name, TensorType type) {
  const ValueId id = AddValue(function, std::move(type));
  function.values[id].kind = Value::Kind::kInput;
  function.values[id].name = std::move(name);
  return id;
}

ValueId AddConstant(Function& function, at::Tensor constant) {
  TensorType type{static_cast<proto::DataType>(*FromScalarType(constant.scalar_type())), {}};
  for (const int64_t size : constant.sizes()) type.dims.push_back({size, "", 1});
  const ValueId id = AddValue(function, std::move(type));
  function.values[id].kind = Value::Kind::kConstant;
  function.values[id].constant = constant.contiguous();
  return id;
}

ValueId AddView(Function& function, ValueId of, TensorType type, Layout layout) {
  Value value;
  value.kind = function.values[of].kind;
  value.base = function.values[of].base;
  value.type = std::move(type);
  layout.offset += function.values[of].layout.offset;
  value.layout = std::move(layout);
  function.values.push_back(std::move(value));
  return static_cast<ValueId>(function.values.size()) - 1;
}

std::vector<int> CountUses(const Function& function) {
  std::vector<int> uses(function.values.size());
  const auto use = [&](ValueId id) {
    if (id == kNoValue) return;
    ++uses[id];
    if (function.values[id].base != id) ++uses[function.values[id].base];
  };
  for (const Op& op : function.ops)
    for (const ValueId id : op.inputs) use(id);
  for (const ValueId id : function.outputs) use(id);
  return uses;
}

int MakerOf(const Function& function, ValueId id) {
  const ValueId base = function.values[id].base;
  for (size_t i = 0; i < function.ops.size(); ++i) {
    for (const ValueId out : function.ops[i].outputs)
      if (out == base) return static_cast<int>(i);
  }
  return -1;
}

bool IsSame(const Function& function, ValueId a, ValueId b) {
  if (a == b) return true;
  if (a == kNoValue || b == kNoValue) return false;
  const Value &x = function.values[a], &y = function.values[b];
  return x.base == y.base && x.type == y.type && x.layout.offset == y.layout.offset &&
         x.layout.strides == y.layout.strides;
}

int NextReader(const Function& function, ValueId id, int from) {
  for (int i = from + 1; i < static_cast<int>(function.ops.size()); ++i) {
    for (const ValueId input : function.ops[i].inputs) {
      if (input != kNoValue && function.values[input].base == function.values[id].base) return i;
    }
  }
  return -1;
}

std::string ToString(const Function& function, const proto::Graph& graph) {
  std::string text;
  for (const Op& op : function.ops) {
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ", ", "%", op.outputs[i], " ",
                      keel::ToString(function.type(op.outputs[i])));
    }
    absl::StrAppend(&text, op.outputs.empty() ? "" : " = ", OpName(op, graph), " (");
    for (size_t i = 0; i < op.inputs.size(); ++i)
      absl::StrAppend(&text, i == 0 ? "" : ", ", Name(function, op.inputs[i]));
    absl::StrAppend(&text, ")\n");
  }
  text.append("return");
  for (const ValueId id : function.outputs) absl::StrAppend(&text, " ", Name(function, id));
  return text.append("\n");
}

}  // namespace keel::ir

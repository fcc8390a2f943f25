#include "core/graph/recorder.h"

#include <atomic>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/abi_input.h"
#include "core/base/status.h"
#include "core/graph/op_attributes.h"
#include "core/graph/op_table.h"

namespace keel {
namespace {

using op::MakeNode;

constexpr uint32_t kIdBits = 24;  // the low bits of a handle; the rest tells recordings apart
constexpr uint32_t kMaxValues = (1u << kIdBits) - 1;
constexpr size_t kMaxConstantBytes = 64 << 20;
constexpr uint32_t kMaxCallOutputs = 64;

keel_tensor NextMark() {
  static std::atomic<uint32_t> count{0};
  return (count.fetch_add(1, std::memory_order_relaxed) % 255 + 1) << kIdBits;
}

Recorder& Self(keel_run* run) { return *static_cast<Recorder*>(run); }

keel_tensor Record(keel_run* run, proto::Node node, std::initializer_list<keel_tensor> inputs) {
  return Self(run).Append(std::move(node), inputs.begin(), inputs.size());
}

// Ops with plain operands, by shape of their signature.
template <proto::Op kOp>
keel_tensor Object1(keel_run* run, keel_object object, keel_tensor x) {
  return Record(run, MakeNode(kOp, object), {x});
}
template <proto::Op kOp>
keel_tensor Object2(keel_run* run, keel_object object, keel_tensor x, keel_tensor y) {
  return Record(run, MakeNode(kOp, object), {x, y});
}
template <proto::Op kOp>
keel_tensor Binary(keel_run* run, keel_tensor a, keel_tensor b) {
  return Record(run, MakeNode(kOp), {a, b});
}
template <proto::Op kOp>
keel_tensor Ternary(keel_run* run, keel_tensor a, keel_tensor b, keel_tensor c) {
  return Record(run, MakeNode(kOp), {a, b, c});
}
// One operand and its attributes, as A::Make takes them.
template <typename A, typename... Values>
keel_tensor With(keel_run* run, keel_tensor x, Values... values) {
  return Record(run, A::Make(values...), {x});
}
template <proto::Op kOp>
keel_tensor AlongDim(keel_run* run, keel_tensor x, int32_t dim) {
  return Record(run, op::AlongDim::Make(kOp, dim), {x});
}

template <proto::Op kOp>
keel_tensor BinaryOfKind(keel_run* run, keel_tensor a, keel_tensor b, uint32_t kind) {
  return Record(run, op::OfKind::Make(kOp, kind), {a, b});
}
keel_tensor OpTake(keel_run* run, keel_tensor x, int32_t dim, keel_tensor indices) {
  return Record(run, op::AlongDim::Make(proto::OP_TAKE, dim), {x, indices});
}
keel_tensor OpScatter(keel_run* run, keel_tensor x, int32_t dim, keel_tensor indices,
                      keel_tensor values) {
  return Record(run, op::AlongDim::Make(proto::OP_SCATTER, dim), {x, indices, values});
}

// Whether what was handed over is as it may be; if not, the reason is kept.
bool Taken(Recorder& self, const proto::Node& node, const absl::Status& status) {
  if (!status.ok()) self.Fail(node, status.message());
  return status.ok();
}
bool Given(Recorder& self, const proto::Node& node, absl::string_view what, const void* list,
           size_t n) {
  return Taken(self, node, CheckListGiven(what, list, n));
}

// Appends the named arguments of attention and recur.
bool AddArgs(Recorder& self, const keel_arg* args, uint32_t num_args, proto::Node& node,
             std::vector<keel_tensor>& inputs) {
  if (!Given(self, node, "args", args, num_args)) return false;
  constexpr uint32_t kFlags =
      KEEL_ARG_PER_HEAD | KEEL_ARG_PER_KV_HEAD | KEEL_ARG_PER_TOKEN | KEEL_ARG_OPTIONAL;
  int position = 0;
  for (uint32_t i = 0; i < num_args; ++i) {
    if (args[i].name == nullptr || *args[i].name == '\0') {
      self.Fail(node, absl::StrCat("argument ", i, " has no name, expected one"));
      return false;
    }
    if (args[i].tensor != 0) {
      op::Arguments::AddTensor(node, args[i].name, position++);
      inputs.push_back(args[i].tensor);
    } else {
      op::Arguments::AddNumber(node, args[i].name, args[i].number);
    }
    if (!Taken(self, node,
               CheckFlags(absl::StrCat("argument ", args[i].name), args[i].flags, kFlags)))
      return false;
    if (args[i].flags != 0) op::Arguments::SetFlags(node, i, args[i].flags);
  }
  return true;
}

keel_tensor OpAttention(keel_run* run, keel_object object, keel_tensor q, keel_tensor k,
                        keel_tensor v, const keel_arg* args, uint32_t num_args) {
  proto::Node node = MakeNode(proto::OP_ATTENTION, object);
  std::vector<keel_tensor> inputs = {q, k, v};
  if (!AddArgs(Self(run), args, num_args, node, inputs)) return 0;
  return Self(run).Append(std::move(node), inputs.data(), inputs.size());
}

keel_tensor OpRecur(keel_run* run, keel_object state, uint32_t kind, keel_tensor x,
                    const keel_arg* args, uint32_t num_args) {
  proto::Node node = op::Recur::Make(state, kind);
  std::vector<keel_tensor> inputs = {x};
  if (!AddArgs(Self(run), args, num_args, node, inputs)) return 0;
  return Self(run).Append(std::move(node), inputs.data(), inputs.size());
}

keel_tensor OpMoeRouted(keel_run* run, keel_object object, keel_tensor x, keel_tensor ids,
                        keel_tensor weights) {
  return Record(run, MakeNode(proto::OP_MOE_ROUTED, object), {x, ids, weights});
}

keel_tensor OpParam(keel_run* run, keel_object object) {
  return Record(run, MakeNode(proto::OP_PARAM, object), {});
}

void OpCall(keel_run* run, keel_object kernel, const keel_tensor* in, uint32_t num_in,
            keel_tensor* out, uint32_t num_out) {
  const proto::Node node = MakeNode(proto::OP_CALL, kernel);
  if (!Given(Self(run), node, "in", in, num_in) || !Given(Self(run), node, "out", out, num_out))
    return;
  const keel_tensor first = Self(run).AppendCall(node, {in, num_in}, num_out);
  for (uint32_t i = 0; i < num_out; ++i) out[i] = first == 0 ? 0 : first + i;
}

keel_tensor OpActMul(keel_run* run, keel_tensor gate, keel_tensor up, uint32_t act) {
  return Record(run, op::ActMul::Make(act), {gate, up});
}

keel_tensor OpReduce(keel_run* run, keel_tensor x, int32_t dim, uint32_t kind, int32_t keep_dim) {
  return Record(run, op::Reduce::Make(dim, kind, keep_dim != 0), {x});
}

void OpTopk(keel_run* run, keel_tensor x, int64_t k, keel_tensor* values, keel_tensor* indices) {
  if (!Given(Self(run), MakeNode(proto::OP_TOPK), "values or indices",
             values == nullptr ? nullptr : indices, 2))
    return;
  *values = Record(run, op::TopK::Make(k), {x});
  *indices = *values == 0 ? 0 : *values + 1;
}

keel_tensor OpView(keel_run* run, keel_tensor x, uint32_t ndim, const int64_t* dims) {
  if (!Given(Self(run), MakeNode(proto::OP_VIEW), "dims", dims, ndim)) return 0;
  return Record(run, op::View::Make({dims, ndim}), {x});
}

keel_tensor OpPermute(keel_run* run, keel_tensor x, uint32_t ndim, const int32_t* order) {
  if (!Given(Self(run), MakeNode(proto::OP_PERMUTE), "order", order, ndim)) return 0;
  return Record(run, op::Permute::Make({order, ndim}), {x});
}

keel_tensor OpCat(keel_run* run, const keel_tensor* xs, uint32_t n, int32_t dim) {
  if (!Given(Self(run), MakeNode(proto::OP_CAT), "xs", xs, n)) return 0;
  return Self(run).Append(op::AlongDim::Make(proto::OP_CAT, dim), xs, n);
}

keel_tensor OpConstant(keel_run* run, uint32_t dtype, uint32_t ndim, const int64_t* dims,
                       const void* data) {
  Recorder& self = Self(run);
  proto::Node node = MakeNode(proto::OP_CONSTANT);
  if (!Given(self, node, "dims", dims, ndim) || !Given(self, node, "data", data, 1)) return 0;
  size_t bytes = (dtype >> 8 & 0xff) / 8;
  proto::Type* type = node.add_types();
  type->set_dtype(static_cast<proto::DataType>(dtype));
  for (uint32_t i = 0; i < ndim && ndim <= KEEL_MAX_DIMS; ++i) {
    type->add_dims()->set_size(dims[i]);
    if (dims[i] < 1 || __builtin_mul_overflow(bytes, static_cast<size_t>(dims[i]), &bytes))
      bytes = 0;
  }
  if (!proto::DataType_IsValid(static_cast<int>(dtype)) || ndim > KEEL_MAX_DIMS || bytes == 0 ||
      bytes > kMaxConstantBytes) {
    self.Fail(node,
              absl::StrCat("data type ", dtype, " with ", ndim,
                           " dimensions, expected a known type and 1 byte to ", kMaxConstantBytes));
    return 0;
  }
  node.set_data(data, bytes);
  return Record(run, std::move(node), {});
}

int64_t OpDim(keel_run* run, keel_tensor x, int32_t dim) {
  Recorder& self = Self(run);
  const TensorType* type = self.Find(x);
  if (type == nullptr) return 0;
  absl::StatusOr<int> at = NormalizeDim(dim, type->rank());
  proto::Node node;  // OP_NONE: named "none" in messages
  if (!at.ok()) {
    self.Fail(node, at.status().message());
  } else if (type->dims[*at].symbolic()) {
    self.Fail(node, absl::StrCat("dim(", dim, ") of ", ToString(*type),
                                 ": the number of tokens has no value in a recorded graph; use 0 "
                                 "(keep) or -1 (infer) in view"));
  } else {
    return type->dims[*at].size;
  }
  return 0;
}

uint32_t OpRank(keel_run* run, keel_tensor x) {
  const TensorType* type = Self(run).Find(x);
  return type == nullptr ? 0 : static_cast<uint32_t>(type->rank());
}

int64_t OpItem(keel_run* run, keel_tensor x) { return Self(run).Item(x); }

void OpMark(keel_run* run, uint32_t kind, int32_t index) {
  Record(run, op::Mark::Make(kind, index), {});
}

keel_status GetStatus(const keel_run* run) {
  return static_cast<keel_status>(static_cast<const Recorder*>(run)->status().code());
}

const void* NoExtension(keel_run*, const char*) { return nullptr; }

const keel_ops& Ops() {
  static const keel_ops ops = [] {
    keel_ops t{};
    t.struct_size = sizeof(keel_ops);
    t.linear = Object1<proto::OP_LINEAR>;
    t.embed = Object1<proto::OP_EMBED>;
    t.norm = Object1<proto::OP_NORM>;
    t.rope = Object2<proto::OP_ROPE>;
    t.attention = OpAttention;
    t.moe = Object2<proto::OP_MOE>;
    t.moe_routed = OpMoeRouted;
    t.conv = Object1<proto::OP_CONV>;
    t.recur = OpRecur;
    t.param = OpParam;
    t.call = OpCall;
    t.add = Binary<proto::OP_ADD>;
    t.sub = Binary<proto::OP_SUB>;
    t.mul = Binary<proto::OP_MUL>;
    t.div = Binary<proto::OP_DIV>;
    t.affine = With<op::Affine, double, double>;
    t.clamp = With<op::Clamp, double, double>;
    t.unary = With<op::Unary, uint32_t>;
    t.act_mul = OpActMul;
    t.matmul = Binary<proto::OP_MATMUL>;
    t.softmax = AlongDim<proto::OP_SOFTMAX>;
    t.reduce = OpReduce;
    t.cumsum = AlongDim<proto::OP_CUMSUM>;
    t.topk = OpTopk;
    t.cast = With<op::Cast, uint32_t>;
    t.view = OpView;
    t.permute = OpPermute;
    t.narrow = With<op::Narrow, int32_t, int64_t, int64_t>;
    t.cat = OpCat;
    t.repeat = With<op::Repeat, int32_t, int64_t>;
    t.where = Ternary<proto::OP_WHERE>;
    t.gather_rows = Binary<proto::OP_GATHER_ROWS>;
    t.put_rows = Ternary<proto::OP_PUT_ROWS>;
    t.constant = OpConstant;
    t.dim = OpDim;
    t.rank = OpRank;
    t.item = OpItem;
    t.mark = OpMark;
    t.status = GetStatus;
    t.extension = NoExtension;
    t.compare = BinaryOfKind<proto::OP_COMPARE>;
    t.logical = BinaryOfKind<proto::OP_LOGICAL>;
    t.binary = BinaryOfKind<proto::OP_BINARY>;
    t.take = OpTake;
    t.scatter = OpScatter;
    t.expand = Binary<proto::OP_EXPAND>;
    return t;
  }();
  return ops;
}

}  // namespace

Recorder::Recorder(const proto::Graph& graph, std::string function, std::string verb)
    : keel_run{&Ops()}, graph_(graph), mark_(NextMark()), verb_(std::move(verb)) {
  function_.set_name(std::move(function));
}

keel_tensor Recorder::AddInput(const std::string& name, const TensorType& type) {
  proto::Function::Input* input = function_.add_inputs();
  input->set_name(name);
  *input->mutable_type() = ToProto(type);
  types_.push_back(type);
  return handle(static_cast<uint32_t>(types_.size()));
}

const TensorType* Recorder::Find(keel_tensor value) {
  if (!status_.ok()) return nullptr;
  const uint32_t id = value & kMaxValues;
  if ((value & ~kMaxValues) == mark_ && id >= 1 && id <= types_.size()) return &types_[id - 1];
  status_ = absl::InvalidArgumentError(
      absl::StrCat(verb_, " ", function_.name(), ": tensor handle ", value, " is not of this run"));
  return nullptr;
}

void Recorder::Fail(const proto::Node& node, absl::string_view message, absl::StatusCode code) {
  if (!status_.ok()) return;
  status_ = absl::Status(
      code,
      absl::StrCat(verb_, " ", function_.name(), ": ",
                   node.op() == proto::OP_NONE ? "" : absl::StrCat(NodeName(graph_, node), ": "),
                   message));
}

void Recorder::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

uint32_t Recorder::IdOf(keel_tensor value) { return value & kMaxValues; }

int64_t Recorder::Item(keel_tensor) {
  Fail(proto::Node(),
       "item() has no value in a recorded graph: forward must not depend on tensor contents");
  return 0;
}

keel_tensor Recorder::Append(proto::Node node, const keel_tensor* inputs, size_t num_inputs) {
  if (!status_.ok()) return 0;
  std::vector<const TensorType*> types(num_inputs, nullptr);
  for (size_t i = 0; i < num_inputs; ++i) {
    if (inputs[i] != 0 && (types[i] = Find(inputs[i])) == nullptr) return 0;
    node.add_inputs(inputs[i] & kMaxValues);
  }
  absl::StatusOr<std::vector<TensorType>> outputs = InferTypes(graph_, node, types);
  if (outputs.ok() && types_.size() + outputs->size() > kMaxValues)
    outputs = absl::ResourceExhaustedError("too many values");
  if (!outputs.ok()) {
    Fail(node, outputs.status().message(), outputs.status().code());
    return 0;
  }
  node.clear_types();
  for (TensorType& type : *outputs) {
    *node.add_types() = ToProto(type);
    types_.push_back(std::move(type));
    node.add_outputs(static_cast<uint32_t>(types_.size()));
  }
  const keel_tensor first = node.outputs().empty() ? 0 : handle(node.outputs(0));
  *function_.add_nodes() = std::move(node);
  return first;
}

keel_tensor Recorder::AppendCall(proto::Node node, absl::Span<const keel_tensor> inputs,
                                 uint32_t num_outputs) {
  if (!status_.ok()) return 0;
  std::vector<TensorType> types;
  for (const keel_tensor input : inputs) {
    const TensorType* type = Find(input);
    if (type == nullptr) return 0;
    types.push_back(*type);
  }
  const int object = static_cast<int>(node.object());
  if (object < 1 || object > graph_.declarations_size() ||
      !graph_.declarations(object - 1).has_kernel()) {
    Fail(node, absl::StrCat("object ", object, " is no kernel, expected one of build's"));
    return 0;
  }
  if (num_outputs < 1 || num_outputs > kMaxCallOutputs) {
    Fail(node, absl::StrCat("num_out is ", num_outputs, ", expected 1 to ", kMaxCallOutputs));
    return 0;
  }
  const PluginKernels none;
  const absl::StatusOr<std::vector<TensorType>> outputs =
      InferKernelTypes(kernels_ == nullptr ? none : *kernels_,
                       graph_.declarations(object - 1).kernel(), types, num_outputs);
  if (!outputs.ok()) {
    Fail(node, outputs.status().message(), outputs.status().code());
    return 0;
  }
  for (const TensorType& type : *outputs) *node.add_types() = ToProto(type);
  return Append(std::move(node), inputs.data(), inputs.size());
}

absl::StatusOr<proto::Function> Recorder::Finish(keel_tensor output) {
  if (!status_.ok()) return status_;
  if (Find(output) == nullptr) return status_;
  function_.add_outputs(output & kMaxValues);
  return std::move(function_);
}

}  // namespace keel

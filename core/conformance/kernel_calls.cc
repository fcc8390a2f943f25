#include "core/conformance/kernel_calls.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel::conformance {
namespace {

// The types of a function's values, by number - 1.
std::vector<TensorType> TypesOf(const proto::Function& function) {
  std::vector<TensorType> types;
  const auto add = [&](const proto::Type& type) {
    const absl::StatusOr<TensorType> parsed = FromProto(type);
    types.push_back(parsed.ok() ? *parsed : TensorType{});
  };
  for (const auto& input : function.inputs()) add(input.type());
  for (const proto::Node& node : function.nodes()) {
    for (const proto::Type& type : node.types()) add(type);
  }
  return types;
}

std::string Text(const std::vector<int64_t>& dims) {
  std::string text = "[";
  for (const int64_t dim : dims) absl::StrAppend(&text, text.size() > 1 ? ", " : "", dim);
  return text + "]";
}

std::vector<keel_dl_tensor*> PointersTo(std::vector<TestTensor>& tensors) {
  std::vector<keel_dl_tensor*> out;
  for (TestTensor& tensor : tensors) out.push_back(tensor.get());
  return out;
}

}  // namespace

std::vector<KernelCall> KernelCallsOf(const ModelUnderTest& model, const proto::Graph& graph) {
  std::vector<KernelCall> calls;
  std::set<uint32_t> seen;
  for (const proto::Function& function : graph.functions()) {
    const std::vector<TensorType> types = TypesOf(function);
    for (const proto::Node& node : function.nodes()) {
      if (node.op() != proto::OP_CALL || !seen.insert(node.object()).second) continue;
      KernelCall call;
      call.declaration = graph.declarations(static_cast<int>(node.object()) - 1).kernel();
      const auto found = model.source.kernels.Find(call.declaration.kernel());
      if (!found.ok()) continue;
      call.kernel = *found;
      call.plugin = &model.source.kernels;
      for (const uint32_t input : node.inputs()) call.inputs.push_back(types[input - 1]);
      for (const uint32_t output : node.outputs()) call.outputs.push_back(types[output - 1]);
      for (const uint32_t state : call.declaration.states())
        call.states.push_back(graph.declarations(static_cast<int>(state) - 1).state());
      call.where = absl::StrCat(function.name(), ": kernel ", call.declaration.kernel());
      calls.push_back(std::move(call));
    }
  }
  return calls;
}

absl::StatusOr<std::unique_ptr<KernelInstance>> KernelInstance::Create(const KernelCall& call) {
  absl::Status made;
  for (const uint32_t dtype : {KEEL_F32, KEEL_BF16}) {
    std::unique_ptr<KernelInstance> instance(new KernelInstance(call, dtype));
    made = instance->Make();
    if (made.ok()) return instance;
    if (!absl::IsUnimplemented(made)) return made;
  }
  return made;
}

absl::Status KernelInstance::Make() {
  KEEL_ASSIGN_OR_RETURN(const std::unique_ptr<KernelUse> use,
                        KernelUse::Create(call_.declaration, dtype_));
  const absl::Status created = CallThrough(call_.plugin->call, "create", [&] {
    return call_.kernel->create(call_.plugin->plugin, use->get(), &self_);
  });
  is_made_ = created.ok();
  KEEL_RETURN_IF_ERROR(use->status());
  return created;
}

KernelInstance::~KernelInstance() {
  if (is_made_) call_.kernel->release(self_);
}

uint32_t KernelInstance::TypeOf(proto::DataType dtype) const {
  return dtype == proto::MODEL ? dtype_ : static_cast<uint32_t>(dtype);
}

std::vector<int64_t> KernelInstance::ShapeOf(const TensorType& type, int64_t rows) const {
  std::vector<int64_t> shape;
  for (const Extent& dim : type.dims)
    shape.push_back(dim.symbolic() ? dim.size * rows / dim.divisor : dim.size);
  return shape;
}

bool KernelInstance::HasRows(size_t i) const {
  const TensorType& type = call_.inputs[i];
  return type.rank() > 0 && type.dims[0].symbolic();
}

KernelData KernelInstance::Draw(int64_t rows, std::mt19937_64& random) const {
  KernelData data;
  for (const TensorType& type : call_.inputs)
    data.tensors.emplace_back(TypeOf(type.dtype), ShapeOf(type, rows)).Randomize(random);
  for (const proto::State& state : call_.states) {
    std::vector<int64_t> shape = {kSlots};
    for (const proto::Dim& dim : state.type().dims()) shape.push_back(dim.size());
    data.states.emplace_back(TypeOf(state.type().dtype()), shape).Randomize(random);
  }
  return data;
}

std::vector<TestTensor> KernelInstance::Outputs(const std::vector<TestTensor>& in,
                                                const KernelRun& how) const {
  int64_t rows = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!HasRows(i)) continue;
    const Extent& extent = call_.inputs[i].dims[0];
    rows = in[i].shape()[0] * extent.divisor / extent.size;
  }
  std::vector<TestTensor> out;
  for (const TensorType& type : call_.outputs) {
    out.emplace_back(TypeOf(type.dtype), ShapeOf(type, rows),
                     Placement{.border = how.placement.border})
        .FillBytes(how.outputs_hold);
  }
  return out;
}

absl::StatusOr<KernelData> KernelInstance::Run(const KernelData& in, const KernelRun& how) const {
  // Copies, placed as is asked for; in a tight run the operands can't be written.
  std::vector<TestTensor> operands, states;
  const auto copy = [&](const TestTensor& tensor) {
    TestTensor placed(tensor.dtype(), tensor.shape(), how.placement);
    for (int64_t i = 0; i < tensor.elements(); ++i) placed.Set(i, tensor.At(i));
    return placed;
  };
  for (const TestTensor& tensor : in.tensors) {
    operands.push_back(copy(tensor));
    if (how.placement.border == Border::kTight) operands.back().MakeReadOnly();
  }
  for (const TestTensor& tensor : in.states) states.push_back(copy(tensor));
  KernelData out = {Outputs(operands, how), states};
  const std::vector<keel_dl_tensor*> from = PointersTo(operands), to = PointersTo(out.tensors);
  const std::vector<keel_dl_tensor*> of_states = PointersTo(out.states);
  const auto num_in = static_cast<uint32_t>(from.size()),
             num_out = static_cast<uint32_t>(to.size());

  std::vector<int32_t> cu_q = {0};
  for (const int32_t rows : how.rows) cu_q.push_back(cu_q.back() + rows);
  keel_sequences sequences = {};
  sequences.struct_size = sizeof(sequences);
  sequences.num_sequences = static_cast<uint32_t>(how.rows.size());
  sequences.cu_q = cu_q.data();
  sequences.slots = how.slots.data();
  sequences.num_states = static_cast<uint32_t>(of_states.size());
  sequences.states = of_states.data();

  TestContext context(how.pieces);
  uint64_t bytes = 0;
  if (call_.kernel->workspace != nullptr) {
    KEEL_RETURN_IF_ERROR(CallThrough(call_.plugin->call, "workspace", [&] {
      bytes = call_.kernel->workspace(self_, from.data(), num_in, to.data(), num_out);
      return 0;
    }));
  }
  context.Reserve(bytes, how.placement.border);
  KEEL_RETURN_IF_ERROR(CallThrough(call_.plugin->call, "run", [&] {
    return call_.kernel->run(self_, context.With(states.empty() ? nullptr : &sequences),
                             from.data(), num_in, to.data(), num_out);
  }));
  if (how.placement.border != Border::kTight) return out;
  if (!context.WorkspaceIsIntact()) return absl::DataLossError("writes beside its workspace");
  for (const std::vector<TestTensor>* written : {&out.tensors, &out.states}) {
    for (const TestTensor& tensor : *written) {
      if (!tensor.IsIntact()) return absl::DataLossError("writes before a result or its states");
    }
  }
  return out;
}

absl::Status KernelInstance::CheckInfer(int64_t rows) const {
  KEEL_ASSIGN_OR_RETURN(const std::unique_ptr<KernelUse> use,
                        KernelUse::Create(call_.declaration, KEEL_DTYPE_MODEL));
  std::vector<keel_meta> in, out(call_.outputs.size());
  for (const TensorType& type : call_.inputs) {
    keel_meta& meta = in.emplace_back();
    meta = {static_cast<uint32_t>(type.dtype), static_cast<uint32_t>(type.rank()), {}};
    const std::vector<int64_t> shape = ShapeOf(type, rows);
    std::copy(shape.begin(), shape.end(), meta.dims);
  }
  const absl::Status inferred = CallThrough(call_.plugin->call, "infer", [&] {
    return call_.kernel->infer(call_.plugin->plugin, use->get(), in.data(),
                               static_cast<uint32_t>(in.size()), out.data(),
                               static_cast<uint32_t>(out.size()));
  });
  KEEL_RETURN_IF_ERROR(use->status());
  KEEL_RETURN_IF_ERROR(inferred);
  for (size_t i = 0; i < out.size(); ++i) {
    const std::vector<int64_t> expected = ShapeOf(call_.outputs[i], rows);
    const std::vector<int64_t> found(out[i].dims,
                                     out[i].dims + std::min<size_t>(out[i].ndim, KEEL_MAX_DIMS));
    if (found == expected && out[i].dtype == static_cast<uint32_t>(call_.outputs[i].dtype))
      continue;
    return absl::FailedPreconditionError(
        absl::StrCat("output ", i, " is of type ", out[i].dtype, " ", Text(found),
                     ", while recording it was ", static_cast<uint32_t>(call_.outputs[i].dtype),
                     " ", Text(expected), " for that number of rows"));
  }
  return absl::OkStatus();
}

}  // namespace keel::conformance

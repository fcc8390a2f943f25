#include "core/ops/plugin_kernel.h"

#include <ATen/ops/empty.h>

#include <deque>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/kernels/plugin_context.h"
#include "core/tensor/aten.h"
#include "core/tensor/dlpack.h"

namespace keel {
namespace {

bool RunsOnCpu(const keel_kernel_class& c) {
  for (const int32_t* type = c.device_types; *type != 0; ++type) {
    if (*type == kCpuDevice) return true;
  }
  return false;
}

absl::Status CheckKernel(const proto::Kernel& kernel, const PluginKernels& kernels,
                         Numerics numerics) {
  KEEL_ASSIGN_OR_RETURN(const keel_kernel_class* c, kernels.Find(kernel.kernel()));
  if (!RunsOnCpu(*c)) {
    return absl::UnimplementedError(
        absl::StrCat("kernel ", c->name, " has no CPU (", kCpuDevice, ") in its device_types"));
  }
  if (kernel.rowwise() && !(c->flags & KEEL_KERNEL_ROWWISE)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the graph counts on kernel ", c->name,
                     " working row by row, which its class does not "
                     "promise (KEEL_KERNEL_ROWWISE); record the model anew"));
  }
  if (numerics == Numerics::kInvariant && !(c->flags & KEEL_KERNEL_INVARIANT)) {
    return absl::UnimplementedError(
        absl::StrCat("kernel ", c->name,
                     " does not promise KEEL_KERNEL_INVARIANT: it may round by "
                     "what else is in a step; run without --deterministic"));
  }
  return absl::OkStatus();
}

// Tensors as a kernel takes them.
class Views {
 public:
  absl::Status Add(const at::Tensor& tensor) {
    KEEL_RETURN_IF_ERROR(views_.emplace_back().Set(tensor));
    pointers_.push_back(views_.back().get());
    return absl::OkStatus();
  }
  keel_dl_tensor* const* data() const { return pointers_.data(); }
  uint32_t size() const { return static_cast<uint32_t>(pointers_.size()); }

 private:
  std::deque<DlpackView> views_;  // stable addresses
  std::vector<keel_dl_tensor*> pointers_;
};

absl::StatusOr<at::Tensor> Allocate(const proto::Type& type, DType model_dtype) {
  KEEL_ASSIGN_OR_RETURN(const TensorType parsed, FromProto(type));
  std::vector<int64_t> dims;
  for (const Extent& dim : parsed.dims) {
    if (dim.symbolic())
      return absl::InternalError(absl::StrCat("a result of unknown size ", ToString(parsed)));
    dims.push_back(dim.size);
  }
  const DType dtype = parsed.dtype == proto::MODEL ? model_dtype : static_cast<DType>(parsed.dtype);
  return at::empty(dims, *ToScalarType(dtype));
}

}  // namespace

absl::Status CheckKernels(const proto::Graph& graph, const PluginKernels& kernels,
                          Numerics numerics) {
  for (const proto::Declaration& d : graph.declarations()) {
    if (!d.has_kernel()) continue;
    KEEL_RETURN_IF_ERROR(Annotate(CheckKernel(d.kernel(), kernels, numerics), d.name()));
  }
  return absl::OkStatus();
}

class KernelInstances::Instance {
 public:
  Instance(const keel_kernel_class* c, PluginCall call, void* self)
      : class_(c), call_(std::move(call)), self_(self) {}
  ~Instance() {
    Call("release", [&] {
      class_->release(self_);
      return 0;
    }).IgnoreError();
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  absl::Status Run(const Views& in, const Views& out, const keel_sequences* sequences) const {
    PluginContext context;
    context.SetSequences(sequences);
    if (class_->workspace != nullptr) {
      uint64_t bytes = 0;
      KEEL_RETURN_IF_ERROR(Call("workspace", [&] {
        bytes = class_->workspace(self_, in.data(), in.size(), out.data(), out.size());
        return 0;
      }));
      KEEL_RETURN_IF_ERROR(
          Annotate(context.Reserve(bytes), absl::StrCat(class_->name, ".workspace")));
    }
    return Call("run", [&] {
      return class_->run(self_, context.get(), in.data(), in.size(), out.data(), out.size());
    });
  }

 private:
  absl::Status Call(const char* function, absl::FunctionRef<keel_status()> call) const {
    return CallThrough(call_, absl::StrCat("kernel ", class_->name, ".", function), call);
  }

  const keel_kernel_class* class_;
  const PluginCall call_;
  void* const self_;
};

KernelInstances::KernelInstances(const proto::Graph& graph, PluginKernels kernels, DType dtype)
    : graph_(&graph), kernels_(std::move(kernels)), dtype_(dtype) {}
KernelInstances::KernelInstances(KernelInstances&&) = default;
KernelInstances::~KernelInstances() = default;

absl::StatusOr<KernelInstances> KernelInstances::Create(const proto::Graph& graph,
                                                        const PluginKernels& kernels, DType dtype) {
  KernelInstances out(graph, kernels, dtype);
  for (const proto::Declaration& d : graph.declarations()) {
    std::unique_ptr<Instance>& instance = out.instances_.emplace_back();
    if (!d.has_kernel()) continue;
    KEEL_ASSIGN_OR_RETURN(const keel_kernel_class* c, kernels.Find(d.kernel().kernel()));
    KEEL_ASSIGN_OR_RETURN(const std::unique_ptr<KernelUse> use,
                          KernelUse::Create(d.kernel(), static_cast<uint32_t>(dtype)));
    void* self = nullptr;
    const absl::Status created =
        CallThrough(kernels.call, absl::StrCat("kernel ", c->name, ".create"),
                    [&] { return c->create(kernels.plugin, use->get(), &self); });
    if (created.ok()) instance = std::make_unique<Instance>(c, kernels.call, self);
    KEEL_RETURN_IF_ERROR(Annotate(use->status(), d.name()));
    KEEL_RETURN_IF_ERROR(Annotate(created, d.name()));
  }
  return out;
}

absl::Status KernelInstances::Run(const proto::Node& node, absl::Span<const at::Tensor> inputs,
                                  const StepContext* step, const RecurrentStates& states,
                                  std::vector<at::Tensor>* outputs) {
  const proto::Kernel& kernel = graph_->declarations(static_cast<int>(node.object()) - 1).kernel();
  Views in, out, of_states;
  for (const at::Tensor& input : inputs) KEEL_RETURN_IF_ERROR(in.Add(input.contiguous()));
  for (const proto::Type& type : node.types()) {
    KEEL_ASSIGN_OR_RETURN(at::Tensor result, Allocate(type, dtype_));
    KEEL_RETURN_IF_ERROR(out.Add(result));
    outputs->push_back(std::move(result));
  }
  const Instance& instance = *instances_[node.object() - 1];
  if (kernel.states().empty()) return instance.Run(in, out, nullptr);
  if (step == nullptr) return absl::FailedPreconditionError("runs over states outside of a step");
  for (const uint32_t state : kernel.states())
    KEEL_RETURN_IF_ERROR(of_states.Add(states.Of(state)));
  keel_sequences sequences = {};
  sequences.struct_size = sizeof(sequences);
  sequences.num_sequences = static_cast<uint32_t>(step->state_slots.size());
  sequences.cu_q = step->cu_q.data();
  sequences.slots = step->state_slots.data();
  sequences.num_states = of_states.size();
  sequences.states = of_states.data();
  return instance.Run(in, out, &sequences);
}

}  // namespace keel

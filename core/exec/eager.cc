#include "core/exec/eager.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

TensorType TypeOf(proto::DataType dtype, const at::Tensor& tensor) {
  TensorType type{dtype, {}};
  for (int64_t size : tensor.sizes()) type.dims.push_back({size, "", 1});
  return type;
}

// What the host noticed comes first: it is more precise than what the plugin makes of it.
absl::Status FirstError(const Recorder& run, const absl::Status& returned) {
  return run.status().ok() ? returned : run.status();
}

}  // namespace

EagerRun::EagerRun(OpRunner& ops, std::string function)
    : Recorder(ops.graph(), std::move(function), "running"), ops_(ops), values_(1) {
  SetKernels(&ops.kernels());
}

keel_tensor EagerRun::AddTensor(const std::string& name, proto::DataType dtype,
                                const at::Tensor& tensor) {
  values_.push_back(tensor);
  return AddInput(name, TypeOf(dtype, tensor));
}

absl::StatusOr<at::Tensor> EagerRun::Take(keel_tensor output) {
  if (Find(output) == nullptr) return status();
  return values_[IdOf(output)];
}

keel_tensor EagerRun::Append(proto::Node node, const keel_tensor* inputs, size_t num_inputs) {
  if (!status().ok()) return 0;
  const keel_tensor first = Recorder::Append(std::move(node), inputs, num_inputs);
  if (!status().ok()) return 0;
  const int index = function().nodes_size() - 1;
  absl::Status computed = Compute(function().nodes(index));
  if (computed.ok()) computed = OnNode(function().nodes(index), index);
  if (computed.ok()) return first;
  Fail(Annotate(computed, absl::StrCat("running ", function().name(), ", node ", index)));
  return 0;
}

absl::Status EagerRun::Compute(const proto::Node& node) {
  std::vector<at::Tensor> operands, results;
  for (uint32_t id : node.inputs()) operands.push_back(values_[id]);
  KEEL_RETURN_IF_ERROR(ops_.Run(node, operands, &results));
  if (results.size() != static_cast<size_t>(node.outputs_size())) {
    return absl::InternalError(
        absl::StrCat(results.size(), " results, expected ", node.outputs_size()));
  }
  for (int i = 0; i < node.outputs_size(); ++i) {
    const TensorType expected = *Find(handle(node.outputs(i)));
    if (TypeOf(expected.dtype, results[i]) != expected) {
      return absl::InternalError(
          absl::StrCat("gave ", TensorString(results[i]), ", expected ", ToString(expected)));
    }
    values_.push_back(std::move(results[i]));
  }
  return absl::OkStatus();
}

int64_t EagerRun::Item(keel_tensor value) {
  if (Find(value) == nullptr) return 0;
  const at::Tensor& tensor = values_[IdOf(value)];
  const absl::StatusOr<int64_t> number = CatchAten([&]() -> absl::StatusOr<int64_t> {
    if (tensor.numel() != 1 || !at::isIntegralType(tensor.scalar_type(), /*includeBool=*/true)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "item() of ", TensorString(tensor), ", expected an integer tensor of one element"));
    }
    return tensor.item().toLong();
  });
  if (number.ok()) return *number;
  Fail(number.status());
  return 0;
}

absl::StatusOr<at::Tensor> RunForward(EagerRun& run, const LiveModel& live,
                                      const proto::Function& signature,
                                      const std::vector<at::Tensor>& inputs) {
  keel_forward_inputs in = {};
  in.struct_size = sizeof(in);
  std::vector<keel_tensor> extras;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const proto::Function::Input& input = signature.inputs(static_cast<int>(i));
    const keel_tensor handle = run.AddTensor(input.name(), input.type().dtype(), inputs[i]);
    if (input.name() == "embeds") {
      in.embeds = handle;
    } else if (input.name() == "positions") {
      in.positions = handle;
    } else {
      extras.push_back(handle);
    }
  }
  in.num_extras = static_cast<uint32_t>(extras.size());
  in.extras = extras.data();
  keel_tensor hidden = 0;
  const absl::Status returned = CallThrough(live.call, "forward", [&] {
    return live.model_class->forward(live.model, &run, &in, &hidden);
  });
  KEEL_RETURN_IF_ERROR(FirstError(run, returned));
  return run.Take(hidden);
}

absl::StatusOr<at::Tensor> RunHead(EagerRun& run, const LiveModel& live, const char* name,
                                   decltype(keel_model_class::logits) head,
                                   const at::Tensor& hidden) {
  const keel_tensor in = run.AddTensor("hidden", proto::MODEL, hidden);
  keel_tensor out = 0;
  const absl::Status returned =
      CallThrough(live.call, name, [&] { return head(live.model, &run, in, &out); });
  KEEL_RETURN_IF_ERROR(FirstError(run, returned));
  return run.Take(out);
}

}  // namespace keel

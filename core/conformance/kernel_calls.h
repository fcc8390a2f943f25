// The calls of a plugin's kernels that its models record, to be made by hand.
#ifndef KEEL_CORE_CONFORMANCE_KERNEL_CALLS_H_
#define KEEL_CORE_CONFORMANCE_KERNEL_CALLS_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/conformance/subject.h"
#include "core/conformance/test_tensor.h"
#include "core/graph/graph.pb.h"
#include "core/graph/plugin_kernels.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel::conformance {

// One OP_CALL of a recorded function.
struct KernelCall {
  const keel_kernel_class* kernel = nullptr;
  const PluginKernels* plugin = nullptr;
  proto::Kernel declaration;
  std::vector<TensorType> inputs, outputs;
  std::vector<proto::State> states;
  std::string where;  // "forward: kernel org.example.scale"

  bool Has(uint32_t flag) const { return (kernel->flags & flag) != 0; }
};

// Each declared kernel's first call. `graph` has been recorded from the model.
std::vector<KernelCall> KernelCallsOf(const ModelUnderTest& model, const proto::Graph& graph);

// How a call is made.
struct KernelRun {
  Placement placement = {};
  int pieces = 1;               // of parallel_for
  uint8_t outputs_hold = 0xff;  // every byte of them before the call
  // Of a kernel with states: how many rows each sequence has, and its slot.
  std::vector<int32_t> rows = {};
  std::vector<int32_t> slots = {};
};

// Operands or results, and what the states are before and after.
struct KernelData {
  std::vector<TestTensor> tensors, states;
};

// An instance for one data type.
class KernelInstance {
 public:
  // kUnimplemented if the kernel takes neither float32 nor bfloat16.
  static absl::StatusOr<std::unique_ptr<KernelInstance>> Create(const KernelCall& call);
  ~KernelInstance();
  KernelInstance(const KernelInstance&) = delete;
  KernelInstance& operator=(const KernelInstance&) = delete;

  // Random operands of `rows` rows, and states of kSlots slots.
  KernelData Draw(int64_t rows, std::mt19937_64& random) const;
  // The results, and the states afterwards; those of `in` stay.
  absl::StatusOr<KernelData> Run(const KernelData& in, const KernelRun& how) const;

  // What infer gives for operands of so many rows, against what it gave while recording.
  absl::Status CheckInfer(int64_t rows) const;
  // Operand `i` has a row for each of the step's.
  bool HasRows(size_t i) const;
  static constexpr int64_t kSlots = 6;

 private:
  KernelInstance(const KernelCall& call, uint32_t dtype) : call_(call), dtype_(dtype) {}
  absl::Status Make();
  std::vector<int64_t> ShapeOf(const TensorType& type, int64_t rows) const;
  uint32_t TypeOf(proto::DataType dtype) const;
  std::vector<TestTensor> Outputs(const std::vector<TestTensor>& in, const KernelRun& how) const;

  const KernelCall& call_;
  const uint32_t dtype_;
  void* self_ = nullptr;
  bool is_made_ = false;
};

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_KERNEL_CALLS_H_

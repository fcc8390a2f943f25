// Records a function of a model: an op table whose calls become nodes. No tensor exists while
// recording.
#ifndef KEEL_CORE_GRAPH_RECORDER_H_
#define KEEL_CORE_GRAPH_RECORDER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/graph/plugin_kernels.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel {

// One recording, one thread. Handles carry a mark of their recording, so that one kept from another
// is refused. An eager run is a recording of known sizes that computes each node as it is appended.
class Recorder : public keel_run {
 public:
  // `graph` holds the declarations and is borrowed; nothing is added to it.
  Recorder(const proto::Graph& graph, std::string function, std::string verb = "recording");
  virtual ~Recorder() = default;

  // What `call` may name; borrowed. Null, as at first: nothing.
  void SetKernels(const PluginKernels* kernels) { kernels_ = kernels; }

  // Inputs come first, before any op.
  keel_tensor AddInput(const std::string& name, const TensorType& type);

  // The recorded function with one output, or the first error: of an op (naming it, its object and
  // its operands), or that `output` is no value of this recording.
  absl::StatusOr<proto::Function> Finish(keel_tensor output);

  // What follows is for the op table.
  const absl::Status& status() const { return status_; }
  // The type of a value of this recording, or null with the error kept.
  const TensorType* Find(keel_tensor value);
  void Fail(const proto::Node& node, absl::string_view message,
            absl::StatusCode code = absl::StatusCode::kInvalidArgument);
  // Completes `node` (op, object, attributes) with operands and inferred outputs; returns the first
  // output's handle.
  virtual keel_tensor Append(proto::Node node, const keel_tensor* inputs, size_t num_inputs);
  // The number in a tensor of one element.
  virtual int64_t Item(keel_tensor value);
  keel_tensor handle(uint32_t id) const { return mark_ | id; }
  // Completes and appends the call of a kernel: its results' types are what the class infers.
  keel_tensor AppendCall(proto::Node node, absl::Span<const keel_tensor> inputs,
                         uint32_t num_outputs);

 protected:
  const proto::Graph& graph() const { return graph_; }
  const proto::Function& function() const { return function_; }
  // The number of a value that Find knows.
  static uint32_t IdOf(keel_tensor value);
  void Fail(absl::Status status);

 private:
  const proto::Graph& graph_;
  const keel_tensor mark_;
  const std::string verb_;  // begins messages
  const PluginKernels* kernels_ = nullptr;
  proto::Function function_;
  std::vector<TensorType> types_;  // of value i + 1
  absl::Status status_;
};

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_RECORDER_H_

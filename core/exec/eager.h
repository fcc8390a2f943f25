// Runs a plugin's forward op by op: the op table of a recording whose sizes are known and whose
// nodes are computed as they come. Debugging, and the oracle of what the recorded graph must do.
#ifndef KEEL_CORE_EXEC_EAGER_H_
#define KEEL_CORE_EXEC_EAGER_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/exec/options.h"
#include "core/graph/recorder.h"
#include "core/ops/ops.h"
#include "sdk/abi/plugin.h"

namespace keel {

// One run, one thread. A handle that is 0, stale or forged is kept as the run's first error, and
// every op after an error is a no-op that returns 0.
class EagerRun : public Recorder {
 public:
  EagerRun(OpRunner& ops, std::string function);

  // Inputs come first, before any op. `dtype` may be MODEL.
  keel_tensor AddTensor(const std::string& name, proto::DataType dtype, const at::Tensor& tensor);

  // The value, or the first error.
  absl::StatusOr<at::Tensor> Take(keel_tensor output);

  keel_tensor Append(proto::Node node, const keel_tensor* inputs, size_t num_inputs) override;
  int64_t Item(keel_tensor value) override;

 protected:
  OpRunner& ops() { return ops_; }
  // Called with each node that was computed, its results last among `values()`.
  virtual absl::Status OnNode(const proto::Node& /*node*/, int /*index*/) {
    return absl::OkStatus();
  }
  // Value i is values()[i]; 0 is not given.
  const std::vector<at::Tensor>& values() const { return values_; }

 private:
  absl::Status Compute(const proto::Node& node);

  OpRunner& ops_;
  std::vector<at::Tensor> values_;
};

// Calls the model's forward under `run`; `inputs` are those of `signature`, the recorded function:
// embeds, positions, then the named extras.
absl::StatusOr<at::Tensor> RunForward(EagerRun& run, const LiveModel& live,
                                      const proto::Function& signature,
                                      const std::vector<at::Tensor>& inputs);
// Calls `head`, the model's logits or pool, under `run`.
absl::StatusOr<at::Tensor> RunHead(EagerRun& run, const LiveModel& live, const char* name,
                                   decltype(keel_model_class::logits) head,
                                   const at::Tensor& hidden);

}  // namespace keel

#endif  // KEEL_CORE_EXEC_EAGER_H_

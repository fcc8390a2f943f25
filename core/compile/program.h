// A step of one rank as a flat list of kernel calls over one arena.
#ifndef KEEL_CORE_COMPILE_PROGRAM_H_
#define KEEL_CORE_COMPILE_PROGRAM_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/compile/arena.h"
#include "core/compile/call.h"
#include "core/compile/ir.h"
#include "core/compile/memory_plan.h"
#include "core/compile/operands.h"
#include "core/ops/ops.h"

namespace keel {

struct CompileOptions {
  // Ends in what forward gives, and not in logits.
  bool ends_in_forward = false;
  // Begins with embeddings that it is given, and not with token ids.
  bool takes_embeds = false;
  std::vector<std::string> disabled_passes = {};  // names of pass.h
  bool keep_listing = false;                      // for Program::listing
};

// One step at a time; `ops`, whose step it must be in, at the same time is nobody else's.
class Program {
 public:
  // Borrows `ops`. UNIMPLEMENTED: what a function can't say; the interpreter runs it.
  static absl::StatusOr<std::unique_ptr<Program>> Compile(OpRunner& ops,
                                                          const CompileOptions& options);

  // Names of what Run takes, in order: those of step_function.h.
  const std::vector<std::string>& inputs() const { return inputs_; }
  // How many of its calls there are, and how many of them go through ATen.
  size_t num_calls() const { return calls_.size(); }
  size_t num_fallbacks() const;
  // The function as it was recorded and as it is run, an op a line.
  const std::string& listing() const { return listing_; }

  // `rows` is the number of logit rows. The results lie in the arena: they stay until the next Run.
  absl::StatusOr<std::vector<at::Tensor>> Run(absl::Span<const at::Tensor> inputs, int64_t tokens,
                                              int64_t rows, const StepContext& step);

  // Of all steps; clocks are read only where somebody asked for them before.
  void MeasureTimes() { measures_ = true; }
  const StepTimes& times() const { return times_; }

 private:
  Program() = default;

  ir::Function function_;  // owns the constants
  ir::MemoryPlan plan_;
  std::vector<CallPtr> calls_;
  std::vector<bool> only_rows_;  // by call: all that it makes has a row for each logit row
  std::vector<TensorOperand> outputs_;
  std::vector<std::string> inputs_;
  std::string listing_;
  Arena arena_;
  bool measures_ = false;
  StepTimes times_;
};

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_PROGRAM_H_

#include "core/compile/program.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/compile/emit.h"
#include "core/compile/pass.h"
#include "core/compile/step_function.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

int64_t Now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

bool IsOnlyOfRows(const ir::Function& function, const ir::Op& op) {
  for (const ir::ValueId id : op.outputs) {
    const std::vector<Extent>& dims = function.type(id).dims;
    if (dims.empty() || dims[0].symbol != ir::kRows) return false;
  }
  return !op.outputs.empty();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> Program::Compile(OpRunner& ops,
                                                          const CompileOptions& options) {
  auto program = std::unique_ptr<Program>(new Program());
  ir::Function& function = program->function_;
  KEEL_ASSIGN_OR_RETURN(function,
                        ir::MakeStepFunction(ops, {.ends_in_forward = options.ends_in_forward,
                                                   .takes_embeds = options.takes_embeds}));
  if (options.keep_listing)
    program->listing_ = absl::StrCat("as recorded:\n", ToString(function, ops.graph()));
  KEEL_RETURN_IF_ERROR(ir::RunPasses(options.disabled_passes, ops, function));
  program->plan_ = ir::PlanMemory(function);
  if (options.keep_listing)
    absl::StrAppend(&program->listing_, "\nas run:\n", ToString(function, ops.graph()));
  KEEL_ASSIGN_OR_RETURN(program->calls_, Emit(function, program->plan_, ops));
  for (const ir::Op& op : function.ops) program->only_rows_.push_back(IsOnlyOfRows(function, op));
  const Operands operands(function, program->plan_);
  for (const ir::ValueId id : operands.inputs())
    program->inputs_.push_back(function.values[id].name);
  for (const ir::ValueId id : function.outputs) program->outputs_.push_back(operands.tensor(id));
  return program;
}

size_t Program::num_fallbacks() const {
  size_t n = 0;
  for (const CallPtr& call : calls_) n += call->is_fallback();
  return n;
}

absl::StatusOr<std::vector<at::Tensor>> Program::Run(absl::Span<const at::Tensor> inputs,
                                                     int64_t tokens, int64_t rows,
                                                     const StepContext& step) {
  const int64_t begin = measures_ ? Now() : 0;
  Frame frame;
  frame.numbers[static_cast<int>(ir::Region::kTokens)] = tokens;
  frame.numbers[static_cast<int>(ir::Region::kRows)] = rows;
  int64_t bytes = 0;
  for (int i = 0; i < ir::kNumRegions; ++i) bytes += plan_.size[i] * frame.numbers[i];
  char* region = arena_.Reserve(bytes);
  if (region == nullptr && bytes > 0)
    return absl::ResourceExhaustedError(absl::StrCat("a step takes ", bytes, " bytes"));
  for (int i = 0; i < ir::kNumRegions; ++i) {
    frame.regions[i] = region;
    region += plan_.size[i] * frame.numbers[i];
  }
  frame.inputs = inputs;
  frame.step = &step;
  frame.times = measures_ ? &times_ : nullptr;
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (rows == 0 && only_rows_[i]) continue;
    KEEL_RETURN_IF_ERROR(calls_[i]->Run(frame));
  }
  return CatchAten([&] {
    std::vector<at::Tensor> outputs;
    for (const TensorOperand& output : outputs_) outputs.push_back(output.In(frame));
    if (measures_) ++times_.steps, times_.total += Now() - begin;
    return outputs;
  });
}

}  // namespace keel

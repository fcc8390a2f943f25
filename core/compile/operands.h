// A function's values as calls take them: a place in the arena, and as rows or as a tensor.
#ifndef KEEL_CORE_COMPILE_OPERANDS_H_
#define KEEL_CORE_COMPILE_OPERANDS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "core/compile/frame.h"
#include "core/compile/ir.h"
#include "core/compile/memory_plan.h"
#include "core/kernels/lanes.h"

namespace keel {

// [rows, size], elements of a row side by side, rows `stride` elements apart.
struct RowsOperand {
  Place place;
  StepSize rows;
  int64_t size = 0, stride = 0;
};

// For what goes through ATen.
struct TensorOperand {
  bool is_given = true;
  Place place;
  at::ScalarType type = at::ScalarType::Float;
  std::vector<StepSize> dims, strides;
  int input = -1;  // which of the step's it is, whole; -1: none

  // A view of the frame's memory; undefined where it isn't given. Throws c10::Error.
  at::Tensor In(const Frame& frame) const;
};

class Operands {
 public:
  // Both borrowed. Constants of `function` must outlive what is made here.
  Operands(const ir::Function& function, const ir::MemoryPlan& plan)
      : function_(function), plan_(plan) {}

  const ir::Value& value(ir::ValueId id) const { return function_.values[id]; }
  Place place(ir::ValueId id) const;
  TensorOperand tensor(ir::ValueId id) const;
  // Over the last dimension; nullopt if it does not lie so.
  std::optional<RowsOperand> rows(ir::ValueId id) const;
  // The type, if kernels know it.
  std::optional<KernelType> kernel_type(ir::ValueId id) const;
  static StepSize size(const Extent& extent);
  // All inputs of the function, in the order in which Place counts them.
  std::vector<ir::ValueId> inputs() const;

 private:
  const ir::Function& function_;
  const ir::MemoryPlan& plan_;
};

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_OPERANDS_H_

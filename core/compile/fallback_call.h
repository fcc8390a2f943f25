// An op as the interpreter runs it, over tensors that view the arena. What has no kernel yet, or none for its layout,
// is one of these, so every model can be compiled.
#ifndef KEEL_CORE_COMPILE_FALLBACK_CALL_H_
#define KEEL_CORE_COMPILE_FALLBACK_CALL_H_

#include <vector>

#include "core/compile/call.h"
#include "core/compile/operands.h"
#include "core/graph/graph.pb.h"
#include "core/ops/ops.h"

namespace keel {

class FallbackCall : public Call {
 public:
  // Borrows `ops`.
  FallbackCall(OpRunner& ops, proto::Node node, std::vector<TensorOperand> inputs,
               std::vector<TensorOperand> outputs);

  absl::Status Run(const Frame& frame) override;
  bool is_fallback() const override { return true; }

 private:
  absl::Status RunOp(const Frame& frame);

  OpRunner& ops_;
  const proto::Node node_;
  const std::vector<TensorOperand> inputs_, outputs_;
};

// Copies x into y, whatever their layouts and types are.
class CopyCall : public Call {
 public:
  CopyCall(TensorOperand x, TensorOperand y) : x_(std::move(x)), y_(std::move(y)) {}
  absl::Status Run(const Frame& frame) override;
  bool is_fallback() const override { return true; }

 private:
  const TensorOperand x_, y_;
};

}  // namespace keel
#endif  // KEEL_CORE_COMPILE_FALLBACK_CALL_H_

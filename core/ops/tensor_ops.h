// The ops that touch no declared object: arithmetic and shape, on at::Tensor. Attributes are a
// node's (core/graph/graph.proto).
#ifndef KEEL_CORE_OPS_TENSOR_OPS_H_
#define KEEL_CORE_OPS_TENSOR_OPS_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/types/span.h"
#include "core/graph/graph.pb.h"
#include "core/kernels/numerics.h"
#include "core/tensor/dtype.h"

namespace keel {

// True if `op` is one of them.
bool IsTensorOp(proto::Op op);

// Appends the outputs; `model_dtype` is what MODEL stands for. Invariance holds where dimension 0 is
// that of tokens and no op works along it. Throws c10::Error.
void RunTensorOp(const proto::Node& node, absl::Span<const at::Tensor> inputs, DType model_dtype,
                 Numerics numerics, std::vector<at::Tensor>* outputs);

}  // namespace keel

#endif  // KEEL_CORE_OPS_TENSOR_OPS_H_

// In which format each linear of a model is packed.
#ifndef KEEL_CORE_WEIGHTS_PACK_FORMAT_H_
#define KEEL_CORE_WEIGHTS_PACK_FORMAT_H_

#include <vector>

#include "core/graph/graph.pb.h"
#include "core/kernels/packed_linear.h"
#include "core/tensor/dtype.h"
#include "core/weights/quantization.h"

namespace keel {

// Of each object (number - 1); what is said of those that are no linears or experts means nothing. Some keep the type
// `dtype` in a quantized model: what chooses experts, where a small error sends a token elsewhere; the matrix that
// expands latents (MLA), which attention takes apart; and what has fewer outputs than a panel, where it saves nothing.
// The head, whose errors are the logits' own, has a format of its own (quantized_format.h).
std::vector<PackedFormat> LinearFormats(const proto::Graph& graph, Quantization quantization,
                                        DType dtype);

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_PACK_FORMAT_H_

// In which format a quantization packs linears.
#ifndef KEEL_CORE_WEIGHTS_QUANTIZED_FORMAT_H_
#define KEEL_CORE_WEIGHTS_QUANTIZED_FORMAT_H_

#include "core/kernels/packed_linear.h"
#include "core/tensor/dtype.h"
#include "core/weights/quantization.h"

namespace keel {

// Of a linear that is quantized, of the one that gives logits, and of one that is not quantized.
PackedFormat QuantizedFormat(Quantization quantization, DType dtype);
PackedFormat HeadFormat(Quantization quantization, DType dtype);
inline PackedFormat PlainFormat(DType dtype) { return QuantizedFormat(Quantization::kNone, dtype); }

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_QUANTIZED_FORMAT_H_

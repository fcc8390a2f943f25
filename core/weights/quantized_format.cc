#include "core/weights/quantized_format.h"

namespace keel {

PackedFormat QuantizedFormat(Quantization quantization, DType dtype) {
  switch (quantization) {
    case Quantization::kNone:
      break;
    case Quantization::kInt8:
      return {WeightType::kInt8, 32};
    case Quantization::kInt8Group128:
      return {WeightType::kInt8, 128};
    case Quantization::kW8A8:
      return {WeightType::kInt8, 32, true};
    case Quantization::kInt4:
      return {WeightType::kInt4, 32};
    case Quantization::kInt4Group64:
      return {WeightType::kInt4, 64};
    case Quantization::kInt4Group128:
      return {WeightType::kInt4, 128};
  }
  return {dtype == DType::kF32   ? WeightType::kF32
          : dtype == DType::kF16 ? WeightType::kF16
                                 : WeightType::kBF16};
}

PackedFormat HeadFormat(Quantization quantization, DType dtype) {
  const PackedFormat format = QuantizedFormat(quantization, dtype);
  return format.weights == WeightType::kInt4 ? QuantizedFormat(Quantization::kW8A8, dtype) : format;
}

}  // namespace keel

// Element types. A DType's number is the u32 image of DLPack's DLDataType (code | bits << 8 | lanes
// << 16), the form that the plugin ABI carries, so that none is ever translated at that border.
#ifndef KEEL_CORE_TENSOR_DTYPE_H_
#define KEEL_CORE_TENSOR_DTYPE_H_

#include <cstdint>
#include <optional>
#include <ostream>

#include "absl/strings/string_view.h"

namespace keel {

constexpr uint32_t DLDataTypeImage(uint32_t code, uint32_t bits, uint32_t lanes = 1) {
  return code | bits << 8 | lanes << 16;
}

enum class DType : uint32_t {
  kI8 = DLDataTypeImage(0, 8),
  kI16 = DLDataTypeImage(0, 16),
  kI32 = DLDataTypeImage(0, 32),
  kI64 = DLDataTypeImage(0, 64),
  kU8 = DLDataTypeImage(1, 8),
  kU16 = DLDataTypeImage(1, 16),
  kU32 = DLDataTypeImage(1, 32),
  kU64 = DLDataTypeImage(1, 64),
  kF16 = DLDataTypeImage(2, 16),
  kF32 = DLDataTypeImage(2, 32),
  kF64 = DLDataTypeImage(2, 64),
  kBF16 = DLDataTypeImage(4, 16),
  kC64 = DLDataTypeImage(5, 64),  // two f32
  kBool = DLDataTypeImage(6, 8),
  kF8E4M3FN = DLDataTypeImage(10, 8),  // safetensors' F8_E4M3
  kF8E4M3FNUZ = DLDataTypeImage(11, 8),
  kF8E5M2 = DLDataTypeImage(12, 8),
  kF8E5M2FNUZ = DLDataTypeImage(13, 8),
  kF8E8M0 = DLDataTypeImage(14, 8),  // a power of two: scales of the MX formats
  kF6E2M3 = DLDataTypeImage(15, 6),  // sub-byte: packed, no padding between elements
  kF6E3M2 = DLDataTypeImage(16, 6),
  kF4E2M1 = DLDataTypeImage(17, 4),
};

constexpr uint32_t DLTypeCode(DType dtype) { return static_cast<uint32_t>(dtype) & 0xff; }
constexpr int BitsOf(DType dtype) {
  return static_cast<int>(static_cast<uint32_t>(dtype) >> 8 & 0xff);
}

// Whole bytes of one element; 0 for the sub-byte types.
constexpr int64_t BytesOf(DType dtype) { return BitsOf(dtype) % 8 == 0 ? BitsOf(dtype) / 8 : 0; }

constexpr bool IsFloatingPoint(DType dtype) {
  const uint32_t code = DLTypeCode(dtype);
  return code == 2 || code == 4 || code >= 7;
}

// The DType with this number, as it came from a plugin or a file; nullopt if Keel has none such.
std::optional<DType> DTypeFromImage(uint32_t image);

absl::string_view SafetensorsName(DType dtype);  // "BF16"
absl::string_view TorchName(DType dtype);        // "bfloat16"; what messages use

std::optional<DType> DTypeFromSafetensorsName(absl::string_view name);

// "bfloat16", "torch.bfloat16", and the short names people type: "bf16", "fp16", "f32", "half",
// "float", "double".
std::optional<DType> DTypeFromName(absl::string_view name);

// Bytes of `elements` packed elements; nullopt if negative, not a whole number of bytes, or more
// than int64 holds.
std::optional<int64_t> BytesOfElements(DType dtype, int64_t elements);

std::ostream& operator<<(std::ostream& out, DType dtype);

}  // namespace keel

#endif  // KEEL_CORE_TENSOR_DTYPE_H_

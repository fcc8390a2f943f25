#include "core/tensor/dtype.h"

#include "absl/strings/strip.h"

namespace keel {
namespace {

struct Row {
  DType dtype;
  absl::string_view safetensors;
  absl::string_view torch;
};

constexpr Row kRows[] = {
    {DType::kF32, "F32", "float32"},
    {DType::kBF16, "BF16", "bfloat16"},
    {DType::kF16, "F16", "float16"},
    {DType::kF64, "F64", "float64"},
    {DType::kI64, "I64", "int64"},
    {DType::kI32, "I32", "int32"},
    {DType::kI16, "I16", "int16"},
    {DType::kI8, "I8", "int8"},
    {DType::kU64, "U64", "uint64"},
    {DType::kU32, "U32", "uint32"},
    {DType::kU16, "U16", "uint16"},
    {DType::kU8, "U8", "uint8"},
    {DType::kBool, "BOOL", "bool"},
    {DType::kC64, "C64", "complex64"},
    {DType::kF8E4M3FN, "F8_E4M3", "float8_e4m3fn"},
    {DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", "float8_e4m3fnuz"},
    {DType::kF8E5M2, "F8_E5M2", "float8_e5m2"},
    {DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", "float8_e5m2fnuz"},
    {DType::kF8E8M0, "F8_E8M0", "float8_e8m0fnu"},
    {DType::kF6E2M3, "F6_E2M3", "float6_e2m3fn"},
    {DType::kF6E3M2, "F6_E3M2", "float6_e3m2fn"},
    {DType::kF4E2M1, "F4", "float4_e2m1fn"},
};

constexpr struct {
  absl::string_view alias;
  DType dtype;
} kAliases[] = {
    {"bf16", DType::kBF16}, {"f16", DType::kF16},    {"fp16", DType::kF16},  {"half", DType::kF16},
    {"f32", DType::kF32},   {"fp32", DType::kF32},   {"float", DType::kF32}, {"f64", DType::kF64},
    {"fp64", DType::kF64},  {"double", DType::kF64},
};

const Row* FindRow(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return &row;
  }
  return nullptr;
}

}  // namespace

std::optional<DType> DTypeFromImage(uint32_t image) {
  const Row* row = FindRow(static_cast<DType>(image));
  return row == nullptr ? std::nullopt : std::optional(row->dtype);
}

absl::string_view SafetensorsName(DType dtype) {
  const Row* row = FindRow(dtype);
  return row == nullptr ? "unknown" : row->safetensors;
}

absl::string_view TorchName(DType dtype) {
  const Row* row = FindRow(dtype);
  return row == nullptr ? "unknown" : row->torch;
}

std::optional<DType> DTypeFromSafetensorsName(absl::string_view name) {
  for (const Row& row : kRows) {
    if (row.safetensors == name) return row.dtype;
  }
  return std::nullopt;
}

std::optional<DType> DTypeFromName(absl::string_view name) {
  absl::ConsumePrefix(&name, "torch.");
  for (const Row& row : kRows) {
    if (row.torch == name) return row.dtype;
  }
  for (const auto& [alias, dtype] : kAliases) {
    if (alias == name) return dtype;
  }
  return std::nullopt;
}

std::optional<int64_t> BytesOfElements(DType dtype, int64_t elements) {
  int64_t bits = 0;
  if (elements < 0) return std::nullopt;
  if (int64_t whole = BytesOf(dtype); whole != 0) {
    int64_t bytes = 0;
    if (__builtin_mul_overflow(elements, whole, &bytes)) return std::nullopt;
    return bytes;
  }
  if (__builtin_mul_overflow(elements, static_cast<int64_t>(BitsOf(dtype)), &bits) ||
      bits % 8 != 0) {
    return std::nullopt;
  }
  return bits / 8;
}

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << TorchName(dtype); }

}  // namespace keel

#include "core/tensor/aten.h"

#include <new>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace keel {
namespace {

struct Pair {
  DType dtype;
  at::ScalarType type;
};

constexpr Pair kPairs[] = {
    {DType::kI8, at::ScalarType::Char},
    {DType::kI16, at::ScalarType::Short},
    {DType::kI32, at::ScalarType::Int},
    {DType::kI64, at::ScalarType::Long},
    {DType::kU8, at::ScalarType::Byte},
    {DType::kU16, at::ScalarType::UInt16},
    {DType::kU32, at::ScalarType::UInt32},
    {DType::kU64, at::ScalarType::UInt64},
    {DType::kF16, at::ScalarType::Half},
    {DType::kF32, at::ScalarType::Float},
    {DType::kF64, at::ScalarType::Double},
    {DType::kBF16, at::ScalarType::BFloat16},
    {DType::kC64, at::ScalarType::ComplexFloat},
    {DType::kBool, at::ScalarType::Bool},
    {DType::kF8E4M3FN, at::ScalarType::Float8_e4m3fn},
    {DType::kF8E4M3FNUZ, at::ScalarType::Float8_e4m3fnuz},
    {DType::kF8E5M2, at::ScalarType::Float8_e5m2},
    {DType::kF8E5M2FNUZ, at::ScalarType::Float8_e5m2fnuz},
    {DType::kF8E8M0, at::ScalarType::Float8_e8m0fnu},
};

std::string FirstLine(absl::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

std::optional<at::ScalarType> ToScalarType(DType dtype) {
  for (const Pair& pair : kPairs) {
    if (pair.dtype == dtype) return pair.type;
  }
  return std::nullopt;
}

std::optional<DType> FromScalarType(at::ScalarType type) {
  for (const Pair& pair : kPairs) {
    if (pair.type == type) return pair.dtype;
  }
  return std::nullopt;
}

std::string ShapeString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::string TensorString(const at::Tensor& tensor) {
  if (!tensor.defined()) return "none";
  const std::optional<DType> dtype = FromScalarType(tensor.scalar_type());
  return absl::StrCat(dtype ? TorchName(*dtype) : "?", " ",
                      ShapeString({tensor.sizes().data(), tensor.sizes().size()}));
}

absl::Status StatusOfCurrentException() {
  try {
    throw;
  } catch (const c10::Error& error) {
    const std::string what = FirstLine(error.what_without_backtrace());
    // c10's allocator reports exhaustion as a plain Error, in words that depend on the system.
    if (absl::StrContains(what, "DefaultCPUAllocator")) {
      return absl::ResourceExhaustedError(what);
    }
    return absl::InvalidArgumentError(what);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(FirstLine(error.what()));
  } catch (...) {
    return absl::InternalError("unknown exception");
  }
}

}  // namespace keel

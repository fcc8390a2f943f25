// Between Keel's types and ATen's, and between ATen's exceptions and absl::Status.
#ifndef KEEL_CORE_TENSOR_ATEN_H_
#define KEEL_CORE_TENSOR_ATEN_H_

#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor/dtype.h"

namespace keel {

// nullopt for the types that ATen has no tensors of (the sub-byte ones).
std::optional<at::ScalarType> ToScalarType(DType dtype);
std::optional<DType> FromScalarType(at::ScalarType type);

// "[2, 3]", and "bfloat16 [2, 3]" of a tensor; "none" for an undefined one. For messages.
std::string ShapeString(absl::Span<const int64_t> shape);
std::string TensorString(const at::Tensor& tensor);

// The exception under way as a Status: the first line of what ATen says, without its C++ trace.
// Call it in a catch block only.
absl::Status StatusOfCurrentException();

// Runs `f`, which uses ATen, in inference mode; what it throws becomes the Status. `f` returns a
// Status, a StatusOr, or a value (then the result is a StatusOr of it).
template <typename F>
auto CatchAten(F&& f) {
  using Result = std::invoke_result_t<F>;
  constexpr bool kIsStatus = std::is_same_v<Result, absl::Status> || requires(Result r) {
    r.status();
  };
  using Wrapped = std::conditional_t<kIsStatus, std::type_identity<Result>,
                                     std::type_identity<absl::StatusOr<Result>>>;
  using Return = typename Wrapped::type;
  try {
    c10::InferenceMode guard;
    return Return(std::forward<F>(f)());
  } catch (...) {
    return Return(StatusOfCurrentException());
  }
}

}  // namespace keel

#endif  // KEEL_CORE_TENSOR_ATEN_H_

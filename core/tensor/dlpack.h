// A tensor as a plugin's kernel sees it. The structures are those of sdk/abi/plugin.h.
#ifndef KEEL_CORE_TENSOR_DLPACK_H_
#define KEEL_CORE_TENSOR_DLPACK_H_

#include <ATen/core/Tensor.h>

#include <array>

#include "absl/status/status.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Keeps a tensor alive and describes it. Not copyable: the keel_dl_tensor points into this object.
class DlpackView {
 public:
  DlpackView() = default;
  DlpackView(const DlpackView&) = delete;
  DlpackView& operator=(const DlpackView&) = delete;

  // kInvalidArgument for an undefined tensor, one of more than KEEL_MAX_DIMS dimensions, off the
  // CPU or of a type that DLPack lacks.
  absl::Status Set(const at::Tensor& tensor);

  const keel_dl_tensor* get() const { return &view_; }
  keel_dl_tensor* get() { return &view_; }

 private:
  at::Tensor tensor_;
  keel_dl_tensor view_ = {};
  std::array<int64_t, KEEL_MAX_DIMS> shape_ = {};
  std::array<int64_t, KEEL_MAX_DIMS> strides_ = {};
};

}  // namespace keel

#endif  // KEEL_CORE_TENSOR_DLPACK_H_

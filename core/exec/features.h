// What an encoder made of one item of media: the rows that take the place of its placeholders' embeddings.
#ifndef KEEL_CORE_EXEC_FEATURES_H_
#define KEEL_CORE_EXEC_FEATURES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace keel {

class Features {
 public:
  // [n, size of an embedding], contiguous, of the model's type.
  explicit Features(at::Tensor rows) : rows_(std::move(rows)) {}

  const at::Tensor& rows() const { return rows_; }
  int64_t num_rows() const { return rows_.size(0); }
  int64_t bytes() const { return static_cast<int64_t>(rows_.nbytes()); }

 private:
  const at::Tensor rows_;
};

}  // namespace keel

#endif  // KEEL_CORE_EXEC_FEATURES_H_

// What an encoder made of one item of media: the rows that take the place of its placeholders' embeddings.
#ifndef KEEL_CORE_EXEC_FEATURES_H_
#define KEEL_CORE_EXEC_FEATURES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace keel {

class Features {
 public:
  // [n * results, size of an embedding], contiguous, of the model's type: `results` rows for each of n tokens, one
  // after the other. The first takes the place of its embedding, the others are forward's features/1, features/2 ...
  explicit Features(const at::Tensor& rows, int64_t results = 1)
      : rows_(rows.view({-1, results, rows.size(1)})) {}

  // [n, size]
  at::Tensor rows(int64_t result = 0) const { return rows_.select(1, result); }
  int64_t num_rows() const { return rows_.size(0); }
  int64_t bytes() const { return static_cast<int64_t>(rows_.nbytes()); }

 private:
  const at::Tensor rows_;  // [n, results, size]
};

// Of several items.
using FeatureList = std::vector<std::shared_ptr<const Features>>;

}  // namespace keel

#endif  // KEEL_CORE_EXEC_FEATURES_H_

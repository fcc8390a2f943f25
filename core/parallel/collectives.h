// What ranks do together. Every rank calls the same operations in the same order, each on its own
// thread or process; Send and Receive alone are between two.
#ifndef KEEL_CORE_PARALLEL_COLLECTIVES_H_
#define KEEL_CORE_PARALLEL_COLLECTIVES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace keel {

// One rank's end. An operation that fails on one rank (or that another rank leaves, see Abort) fails
// on all, with the first error.
class Collectives {
 public:
  virtual ~Collectives() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // The sum over ranks, taken in order of rank: the same bits on each. Shapes and types must agree.
  virtual absl::StatusOr<at::Tensor> AllReduce(const at::Tensor& tensor) = 0;
  // All ranks' tensors along `dim`, in order of rank.
  virtual absl::StatusOr<at::Tensor> AllGather(const at::Tensor& tensor, int64_t dim) = 0;
  // Rank `root`'s tensor; what others pass is not looked at.
  virtual absl::StatusOr<at::Tensor> Broadcast(const at::Tensor& tensor, int root) = 0;

  // Point to point, in order: what is sent to a rank waits until it is received there. The tensor must
  // not change afterwards.
  virtual absl::Status Send(const at::Tensor& tensor, int to) = 0;
  virtual absl::StatusOr<at::Tensor> Receive(int from) = 0;

  // This rank gives up with `error`: operations of others that wait for it, now or later, fail.
  virtual void Abort(const absl::Status& error) = 0;
};

// Ranks that are threads of this process.
std::vector<std::unique_ptr<Collectives>> MakeThreadCollectives(int ranks);

}  // namespace keel

#endif  // KEEL_CORE_PARALLEL_COLLECTIVES_H_

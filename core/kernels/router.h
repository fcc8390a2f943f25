// A mixture's router: which experts each token goes to, and with what weights.
#ifndef KEEL_CORE_KERNELS_ROUTER_H_
#define KEEL_CORE_KERNELS_ROUTER_H_

#include <cstdint>

#include "core/kernels/lanes.h"

namespace keel {

// In order of KEEL_MOE_*.
enum class RouterScoring {
  kSoftmax,      // softmax over all experts, then the best
  kSigmoid,      // of each expert by itself, then the best
  kTopkSoftmax,  // the best, then softmax over them
};

struct Router {
  RouterScoring scoring = RouterScoring::kSoftmax;
  int64_t experts = 0, top_k = 0;  // 1 <= top_k <= experts
  // With groups > 1, which divide the experts, only experts of the `top_groups` best groups are chosen. A group's score
  // is its best one's, with kSigmoid the sum of its two best.
  int64_t groups = 0, top_groups = 0;
  const float* bias =
      nullptr;  // [experts], added to scores for the choice alone; not with kTopkSoftmax; may be null
  bool normalize = false;  // divide a token's weights by their sum
  float scale = 1;         // what weights are multiplied with in the end
};

struct RouterRows {
  KernelType type = KernelType::kF32;
  const void* logits = nullptr;  // [rows, experts], rows `stride` elements apart
  int64_t rows = 0, stride = 0;
  int64_t* chosen = nullptr;  // [rows, top_k], the best first, of equal ones the first
  float* weights = nullptr;   // [rows, top_k]
};

// On all threads, in fp32. A row's results depend on that row alone. Whatever the logits are, `chosen` are experts, and
// differ within a row.
void RunRouter(const Router& router, const RouterRows& rows);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_ROUTER_H_

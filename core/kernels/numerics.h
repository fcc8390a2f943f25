// What a result may depend on.
#ifndef KEEL_CORE_KERNELS_NUMERICS_H_
#define KEEL_CORE_KERNELS_NUMERICS_H_

namespace keel {

enum class Numerics {
  kFastest,
  kInvariant,  // a token's values have the same bits whatever else the step computes
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_NUMERICS_H_

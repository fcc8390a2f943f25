// Linears over packed weights that have inputs of their own, as a mixture's experts do.
#ifndef KEEL_CORE_KERNELS_PACKED_GROUP_H_
#define KEEL_CORE_KERNELS_PACKED_GROUP_H_

#include "absl/types/span.h"
#include "core/kernels/numerics.h"
#include "core/kernels/packed_linear_variants.h"

namespace keel {

// Runs all of them on all threads, which meet once: each thread gets an equal share of the work of all, wherever one
// linear ends and the next begins. Neighbours that have the same x and m (an expert's gate and up) have it converted
// once. Nobody's y may be another's operand.
void RunPackedGroup(absl::Span<const PackedLinear> linears, Numerics numerics = Numerics::kFastest);

// The same with the best of `variants` for each.
void RunPackedGroup(absl::Span<const PackedLinear> linears,
                    absl::Span<const PackedLinearVariant> variants);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PACKED_GROUP_H_

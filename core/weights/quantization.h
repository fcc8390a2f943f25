// How a model's linears are quantized when they are loaded; docs/quantization.md says what each costs.
#ifndef KEEL_CORE_WEIGHTS_QUANTIZATION_H_
#define KEEL_CORE_WEIGHTS_QUANTIZATION_H_

#include <iterator>
#include <optional>

#include "absl/strings/string_view.h"

namespace keel {

enum class Quantization {
  kNone,
  kInt8,          // a scale for 32 weights; activations keep 16 bits
  kInt8Group128,  // for 128
  kW8A8,          // a scale for 32; activations become int8, too, with a scale for 32
  kInt4,          // a scale for 32 weights; activations become int8; the head is that of kW8A8
  kInt4Group64,   // for 64
  kInt4Group128,  // for 128
};

// What a user calls them, in their order.
inline constexpr const char* kQuantizationNames[] = {"none", "int8",     "int8-g128", "w8a8",
                                                     "int4", "int4-g64", "int4-g128"};
inline const char* QuantizationName(Quantization quantization) {
  return kQuantizationNames[static_cast<int>(quantization)];
}
inline std::optional<Quantization> QuantizationFromName(absl::string_view name) {
  for (int i = 0; i < static_cast<int>(std::size(kQuantizationNames)); ++i)
    if (name == kQuantizationNames[i]) return static_cast<Quantization>(i);
  return std::nullopt;
}

}  // namespace keel

#endif  // KEEL_CORE_WEIGHTS_QUANTIZATION_H_

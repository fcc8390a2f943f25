// The short convolution that recurrent layers have before their scan.
//
//   #include "sdk/keel/blocks/causal_conv1d.h"
//   using namespace keel;
//
//   CausalConv1d Declare(const Scope& mixer, int layer) {
//     return CausalConv1d(mixer / "conv1d", 256, 4, layer, true);  // 256 channels of 4 tokens
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_CAUSAL_CONV1D_H_
#define KEEL_SDK_KEEL_BLOCKS_CAUSAL_CONV1D_H_

#include <cstdint>
#include <optional>

#include "sdk/keel/layers.h"

namespace keel {

// A convolution over the last `kernel` tokens, each channel by itself. x [N, channels] -> the same.
struct CausalConv1d {
  Param weight;
  std::optional<Param> bias;
  State state;
  CausalConv1d(const Scope& s, int64_t channels, int64_t kernel, int layer, bool has_bias)
      : weight(s / "weight", {channels, 1, kernel}),
        state(
            s / "state",
            {.kind = KEEL_STATE_CONV, .layer = layer, .ndim = 2, .dims = {channels, kernel - 1}}) {
    if (has_bias) bias = Param(s / "bias", {channels});
  }
  Tensor operator()(Tensor x) const {
    const Tensor w = weight(x.run).View({0, -1});
    if (!bias) return state(KEEL_RECUR_CAUSAL_CONV1D, x, {{"weight", w}});
    return state(KEEL_RECUR_CAUSAL_CONV1D, x, {{"weight", w}, {"bias", (*bias)(x.run)}});
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_CAUSAL_CONV1D_H_

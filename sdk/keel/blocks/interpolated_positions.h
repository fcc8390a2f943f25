// Learned positions of a square, stretched over the patches of images of any size, as transformers'
// get_vision_interpolation_indices_and_weights does: a patch has the sum of those that it is between, each by how near it
// is. Which ones and how near comes of sizes alone, so the processor says it.
//
//   #include "sdk/keel/blocks/interpolated_positions.h"
//   using namespace keel;
//
//   struct MyTower {
//     InterpolatedPositions pos_embed;
//     MyTower(const Scope& s, int64_t size) : pos_embed(s / "pos_embed", 48 * 48, size) {}
//     // interp_indices, interp_weights
//     Tensor operator()(Tensor x, const std::vector<Tensor>& in) const { return x + pos_embed(in[0], in[1]); }
//   };
//
//   // The processor of it: the patch in a row and a column of 3 x 5.
//   void Place(int64_t row, int64_t column, std::vector<int64_t>& indices, std::vector<float>& weights) {
//     AddTaps(BilinearTaps(row, 3, 48), BilinearTaps(column, 5, 48), 48, indices, weights);
//   }
#ifndef KEEL_SDK_KEEL_BLOCKS_INTERPOLATED_POSITIONS_H_
#define KEEL_SDK_KEEL_BLOCKS_INTERPOLATED_POSITIONS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/layers.h"

namespace keel {

struct InterpolatedPositions {
  int64_t size;
  Embedding table;
  InterpolatedPositions(const Scope& s, int64_t positions, int64_t hidden_size)
      : size(hidden_size), table(s, positions, hidden_size) {}
  // [N, taps] of each -> [N, size], summed in fp32.
  Tensor operator()(Tensor indices, Tensor weights) const {
    const int64_t taps = indices.Dim(-1);
    const Tensor rows = table(indices.View({-1})).View({-1, taps, size}).Cast(KEEL_F32);
    return (rows * weights.View({0, taps, 1})).Sum(1).Cast(KEEL_DTYPE_MODEL);
  }
};

// The inputs of encode/`tower` that it takes; `unit` patches are a token.
inline std::vector<Spec::Input> InterpolationInputs(const char* tower, int64_t taps, int64_t unit) {
  return {{tower, "interp_indices", KEEL_I64, {-1, taps}, {unit}, {KEEL_MERGE_ROWS}},
          {tower, "interp_weights", KEEL_F32, {-1, taps}, {unit}, {KEEL_MERGE_ROWS}}};
}

// Of a square of so many positions.
inline int64_t SideOfPositions(int64_t positions) {
  return static_cast<int64_t>(std::sqrt(static_cast<double>(std::max<int64_t>(positions, 1))));
}

// Of an axis of positions: which ones, and what of each.
struct Taps {
  std::vector<int64_t> at = {};
  std::vector<float> weight = {};
};

// Of patch `i` on an axis of `size`, whose ends are the ends of the other: align_corners. In float, as transformers.
inline Taps BilinearTaps(int64_t i, int64_t size, int64_t side) {
  const float at = static_cast<float>(i) * static_cast<float>(side - 1) /
                   static_cast<float>(std::max<int64_t>(size - 1, 1));
  const float low = std::floor(at);
  const auto first = static_cast<int64_t>(low);
  return {{std::min(first, side - 1), std::min(first + 1, side - 1)}, {1 - (at - low), at - low}};
}

// Of the middle of patch `i`, as torch's interpolate has it for mode="bilinear": no align_corners.
inline Taps MiddleTaps(int64_t i, int64_t size, int64_t side) {
  const float scale = static_cast<float>(side) / static_cast<float>(size);
  const float at = std::max(0.0F, scale * (static_cast<float>(i) + 0.5F) - 0.5F);
  const int64_t first = std::min(static_cast<int64_t>(at), side - 1);
  const float rest = std::min(at - static_cast<float>(first), 1.0F);
  return {{first, std::min(first + 1, side - 1)}, {1 - rest, rest}};
}

// Of the middle of patch `i`: no align_corners. Keys' kernel with a = -0.75; positions beyond the ends are those at the ends.
inline Taps BicubicTaps(int64_t i, int64_t size, int64_t side) {
  constexpr float a = -0.75F;
  const float at =
      (static_cast<float>(i) + 0.5F) * static_cast<float>(side) / static_cast<float>(size) - 0.5F;
  const float low = std::floor(at);
  Taps out;
  for (int tap = -1; tap <= 2; ++tap) {
    out.at.push_back(std::clamp<int64_t>(static_cast<int64_t>(low) + tap, 0, side - 1));
    const float d = std::abs(at - low - static_cast<float>(tap));
    out.weight.push_back(d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
                                : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a);
  }
  return out;
}

// Those of a patch in a square of side * side positions, by its row and its column.
inline void AddTaps(const Taps& row, const Taps& column, int64_t side,
                    std::vector<int64_t>& indices, std::vector<float>& weights) {
  for (size_t y = 0; y < row.at.size(); ++y) {
    for (size_t x = 0; x < column.at.size(); ++x) {
      indices.push_back(row.at[y] * side + column.at[x]);
      weights.push_back(row.weight[y] * column.weight[x]);
    }
  }
}

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_INTERPOLATED_POSITIONS_H_

// A delta rule (recurrence.h) over lanes of fp32. For kernels' .cc files only.
//
// Each column of a head's state goes by itself. So some columns, which the first-level cache holds and whose sums are in
// registers, go through many tokens before the next ones do. Their sums are those of one token after the other, in the
// order of the key's elements: how a sequence was cut changes no bit.
#ifndef KEEL_CORE_KERNELS_DELTA_LANES_H_
#define KEEL_CORE_KERNELS_DELTA_LANES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/kernels/lanes.h"
#include "core/kernels/recurrence_params.h"

namespace keel::lanes {

// Tokens [begin, end) of a head. `decay` is of each key element of each of them, or of each of them.
struct DeltaTokens {
  const DeltaRule& rule;
  int64_t head, begin, end;
  const float* decay;
};

template <int kWidth, int kRegisters, bool kByKey>
KEEL_INLINE void DeltaColumns(const DeltaTokens& tokens, int64_t column, float* state,
                              int64_t stride) {
  using F32 = typename Vector<kWidth>::F32;
  const DeltaRule& p = tokens.rule;
  const int64_t group = tokens.head / (p.heads / p.groups);
  const float* decay = tokens.decay;
  for (int64_t t = tokens.begin; t < tokens.end; ++t, decay += kByKey ? p.key_size : 1) {
    const int64_t at = t * p.heads + tokens.head;
    const float* q = p.q + (t * p.groups + group) * p.key_size;
    const float* k = p.k + (t * p.groups + group) * p.key_size;
    const float* v = p.v + at * p.value_size + column;
    float* y = p.y + at * p.value_size + column;
    F32 delta[kRegisters], sums[kRegisters], row;
    KEEL_UNROLL for (int r = 0; r < kRegisters; ++r) {
      std::memcpy(&delta[r], v + r * kWidth, sizeof(row));
      sums[r] = F32{};
    }
    if (p.beta != nullptr) {
      const float* from = state;
      for (int64_t i = 0; i < p.key_size; ++i, from += stride) {
        KEEL_UNROLL for (int r = 0; r < kRegisters; ++r) {
          std::memcpy(&row, from + r * kWidth, sizeof(row));
          sums[r] += row * decay[kByKey ? i : 0] * k[i];
        }
      }
      KEEL_UNROLL for (int r = 0; r < kRegisters; ++r) {
        delta[r] = (delta[r] - sums[r]) * p.beta[at];
        sums[r] = F32{};
      }
    }
    float* to = state;
    for (int64_t i = 0; i < p.key_size; ++i, to += stride) {
      KEEL_UNROLL for (int r = 0; r < kRegisters; ++r) {
        std::memcpy(&row, to + r * kWidth, sizeof(row));
        row = row * decay[kByKey ? i : 0] + delta[r] * k[i];
        std::memcpy(to + r * kWidth, &row, sizeof(row));
        sums[r] += row * q[i];
      }
    }
    KEEL_UNROLL for (int r = 0; r < kRegisters; ++r) {
      std::memcpy(y + r * kWidth, &sums[r], sizeof(row));
    }
  }
}

// Those of a wide state lie so far apart that they would share few lines of the first-level cache: over many tokens they
// are worth a copy.
template <int kWidth, bool kByKey>
KEEL_INLINE void DeltaHead(const DeltaTokens& tokens, float* state) {
  constexpr int64_t kColumns = 4 * kWidth, kManyTokens = 8, kMostKeys = 256;
  const int64_t size = tokens.rule.value_size, keys = tokens.rule.key_size;
  const bool copies = tokens.end - tokens.begin >= kManyTokens && keys <= kMostKeys;
  alignas(64) float copy[kColumns * kMostKeys];
  int64_t column = 0;
  for (; column + kColumns <= size; column += kColumns) {
    if (!copies) {
      DeltaColumns<kWidth, 4, kByKey>(tokens, column, state + column, size);
      continue;
    }
    for (int64_t i = 0; i < keys; ++i)
      std::memcpy(copy + i * kColumns, state + i * size + column, kColumns * sizeof(float));
    DeltaColumns<kWidth, 4, kByKey>(tokens, column, copy, kColumns);
    for (int64_t i = 0; i < keys; ++i)
      std::memcpy(state + i * size + column, copy + i * kColumns, kColumns * sizeof(float));
  }
  for (; column + kWidth <= size; column += kWidth)
    DeltaColumns<kWidth, 1, kByKey>(tokens, column, state + column, size);
  for (; column < size; ++column) DeltaColumns<1, 1, kByKey>(tokens, column, state + column, size);
}

template <int kWidth>
KEEL_INLINE void Delta(const DeltaRule& p, const RecurrentSequence& s, int64_t head) {
  constexpr int64_t kTokens = 64;  // whose decays are held at a time
  const int64_t decays = p.by_key ? p.key_size : 1;
  std::vector<float> decay(static_cast<size_t>(kTokens * decays), 1.0f);
  float* const state = s.state + head * p.key_size * p.value_size;
  for (int64_t begin = s.begin; begin < s.end; begin += kTokens) {
    const int64_t end = std::min(begin + kTokens, s.end);
    for (int64_t t = begin; p.g != nullptr && t < end; ++t) {
      for (int64_t i = 0; i < decays; ++i) {
        decay[(t - begin) * decays + i] = std::exp(p.g[(t * p.heads + head) * decays + i]);
      }
    }
    const DeltaTokens tokens = {p, head, begin, end, decay.data()};
    p.by_key ? DeltaHead<kWidth, true>(tokens, state) : DeltaHead<kWidth, false>(tokens, state);
  }
}

}  // namespace keel::lanes

#endif  // KEEL_CORE_KERNELS_DELTA_LANES_H_

// What the recurrences of recurrence.h read and write.
#ifndef KEEL_CORE_KERNELS_RECURRENCE_PARAMS_H_
#define KEEL_CORE_KERNELS_RECURRENCE_PARAMS_H_

#include <cstdint>

namespace keel {

// Rows [begin, end) of a packed batch, and what the sequence carries; read and written.
struct RecurrentSequence {
  int64_t begin = 0, end = 0;
  float* state = nullptr;
};

// y[t][c] = sum over k of w[k][c] x[t - kernel + 1 + k][c], in that order, + bias[c]. State: the last kernel - 1 inputs
// of each channel, [channels, kernel - 1].
struct CausalConv {
  const float* x = nullptr;     // [N, channels]
  const float* w = nullptr;     // [kernel, channels]
  const float* bias = nullptr;  // [channels]; null: none
  float* y = nullptr;           // [N, channels]
  int64_t channels = 0, kernel = 0;
};

// For each head: d = clamp(softplus(dt + dt_bias), dt_min, dt_max), state = exp(d a) state + d x b, y = state c + D x.
// State: [heads, size, state_size].
struct StateSpace {
  const float* x = nullptr;   // [N, heads, size]
  const float* dt = nullptr;  // [N, heads]
  const float* a = nullptr;   // [heads]
  const float* b = nullptr;   // [N, groups, state_size]
  const float* c = nullptr;
  const float* skip = nullptr;     // D [heads]; null: none
  const float* dt_bias = nullptr;  // [heads]; null: none
  float dt_min = 0, dt_max = 0;
  float* y = nullptr;  // [N, heads, size]
  int64_t heads = 0, size = 0, groups = 0, state_size = 0;
};

// For each channel: d = softplus(dt + dt_bias), state = exp(d a) state + d x b, y = state c + D x.
// State: [channels, state_size].
struct SelectiveScan {
  const float* x = nullptr;   // [N, channels]
  const float* dt = nullptr;  // [N, channels]
  const float* a = nullptr;   // [channels, state_size]
  const float* b = nullptr;   // [N, state_size]
  const float* c = nullptr;
  const float* skip = nullptr;     // D [channels]; null: none
  const float* dt_bias = nullptr;  // [channels]; null: none
  float* y = nullptr;              // [N, channels]
  int64_t channels = 0, state_size = 0;
};

// For each head: state = exp(g) state, state = state + k (beta (v - state^T k))^T, y = state^T q. Without
// beta, linear attention: state = exp(g) state + k v^T. State: [heads, key_size, value_size].
struct DeltaRule {
  const float* q = nullptr;     // [N, groups, key_size]
  const float* k = nullptr;     // likewise
  const float* v = nullptr;     // [N, heads, value_size]
  const float* g = nullptr;     // [N, heads] or, by_key, [N, heads, key_size]; null: 0
  const float* beta = nullptr;  // [N, heads]; null: linear attention
  float* y = nullptr;           // [N, heads, value_size]
  int64_t heads = 0, groups = 0, key_size = 0, value_size = 0;
  bool by_key = false;
};

// state = a state + x, y = state. State: [channels].
struct ChannelScan {
  const float* x = nullptr;  // [N, channels]
  const float* a = nullptr;  // [N, channels]
  float* y = nullptr;        // [N, channels]
  int64_t channels = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_RECURRENCE_PARAMS_H_

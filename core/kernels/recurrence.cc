#include "core/kernels/recurrence.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/kernels/delta_lanes.h"
#include "core/kernels/lanes.h"
#include "core/kernels/lanes_math.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

using namespace lanes;  // NOLINT: this file is about nothing else

constexpr int64_t kChannelsAPiece = 512;
constexpr int64_t kSelectivePiece = 32;    // channels that have a state each
constexpr int64_t kWorkAPiece = 16 << 10;  // multiplications; less is not worth waking a thread for

template <int kWidth>
KEEL_INLINE void ConvRow(const CausalConv& conv, const float* const* inputs, int64_t first,
                         int64_t last, float* y) {
  int64_t c = first;
  for (; c + kLanes <= last; c += kLanes) {
    F32x16<kWidth> sum = {}, x, w;
    for (int64_t k = 0; k < conv.kernel; ++k) {
      F32::LoadLanes(inputs[k] + c, &x);
      F32::LoadLanes(conv.w + k * conv.channels + c, &w);
      sum += x * w;
    }
    if (conv.bias != nullptr) {
      F32::LoadLanes(conv.bias + c, &x);
      sum += x;
    }
    F32::StoreLanes(sum, y + c);
  }
  for (; c < last; ++c) {
    float sum = 0;
    for (int64_t k = 0; k < conv.kernel; ++k) sum += inputs[k][c] * conv.w[k * conv.channels + c];
    y[c] = conv.bias != nullptr ? sum + conv.bias[c] : sum;
  }
}

template <int kWidth>
KEEL_INLINE void Conv(const CausalConv& conv, const RecurrentSequence& s, int64_t first,
                      int64_t last) {
  const int64_t kept = conv.kernel - 1, width = last - first, tokens = s.end - s.begin;
  // The state by rows, as the inputs are; row -1 is the newest. Indices of channels are those of `conv`.
  std::vector<float> rows(static_cast<size_t>(kept * width));
  for (int64_t c = first; c < last; ++c) {
    for (int64_t k = 0; k < kept; ++k) rows[k * width + c - first] = s.state[c * kept + k];
  }
  const auto row = [&](int64_t t) {
    return t >= 0 ? conv.x + (s.begin + t) * conv.channels
                  : rows.data() + (t + kept) * width - first;
  };
  std::vector<const float*> inputs(static_cast<size_t>(conv.kernel));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t k = 0; k < conv.kernel; ++k) inputs[k] = row(t - kept + k);
    ConvRow<kWidth>(conv, inputs.data(), first, last, conv.y + (s.begin + t) * conv.channels);
  }
  for (int64_t k = 0; k < kept; ++k) {
    const float* from = row(tokens - kept + k);
    for (int64_t c = first; c < last; ++c) s.state[c * kept + k] = from[c];
  }
}

// As torch: linear where the logarithm changes nothing.
inline float Softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// One token of one head.
struct SpaceToken {
  const float *x, *b, *c;
  float d, decay, skip;
  int64_t state_size;
  float* y;
};

// Its rows [row, row + kRows): together, so that their sums do not wait for each other.
template <int kWidth, int kRows>
KEEL_INLINE void SpaceRows(const SpaceToken& t, int64_t row, float* state) {
  using F32 = typename Vector<kWidth>::F32;
  F32 sums[kRows], h, b, c;
  float dx[kRows], sum[kRows];
  state += row * t.state_size;
  KEEL_UNROLL for (int r = 0; r < kRows; ++r) dx[r] = t.d * t.x[row + r], sums[r] = F32{};
  int64_t n = 0;
  for (; n + kWidth <= t.state_size; n += kWidth) {
    std::memcpy(&b, t.b + n, sizeof(F32));
    std::memcpy(&c, t.c + n, sizeof(F32));
    KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
      std::memcpy(&h, state + r * t.state_size + n, sizeof(F32));
      h = h * t.decay + b * dx[r];
      std::memcpy(state + r * t.state_size + n, &h, sizeof(F32));
      sums[r] += h * c;
    }
  }
  KEEL_UNROLL for (int r = 0; r < kRows; ++r) sum[r] = SumOfRegister<kWidth>(sums[r]);
  for (; n < t.state_size; ++n) {
    KEEL_UNROLL for (int r = 0; r < kRows; ++r) {
      float& one = state[r * t.state_size + n];
      one = one * t.decay + t.b[n] * dx[r];
      sum[r] += one * t.c[n];
    }
  }
  KEEL_UNROLL for (int r = 0; r < kRows; ++r) t.y[row + r] = sum[r] + t.skip * t.x[row + r];
}

template <int kWidth>
KEEL_INLINE void Space(const StateSpace& p, const RecurrentSequence& s, int64_t head) {
  constexpr int kRows = 4;
  const int64_t group = head / (p.heads / p.groups);
  float* const state = s.state + head * p.size * p.state_size;
  for (int64_t t = s.begin; t < s.end; ++t) {
    const int64_t at = t * p.heads + head, at_group = (t * p.groups + group) * p.state_size;
    const float step = p.dt_bias != nullptr ? p.dt[at] + p.dt_bias[head] : p.dt[at];
    const float d = std::min(std::max(Softplus(step), p.dt_min), p.dt_max);
    const SpaceToken token = {p.x + at * p.size,
                              p.b + at_group,
                              p.c + at_group,
                              d,
                              std::exp(d * p.a[head]),
                              p.skip != nullptr ? p.skip[head] : 0.0f,
                              p.state_size,
                              p.y + at * p.size};
    int64_t row = 0;
    for (; row + kRows <= p.size; row += kRows) SpaceRows<kWidth, kRows>(token, row, state);
    for (; row < p.size; ++row) SpaceRows<kWidth, 1>(token, row, state);
  }
}

// One token of one channel of a SelectiveScan, whose state is `h`.
template <int kWidth>
KEEL_INLINE float SelectiveToken(const SelectiveScan& p, int64_t t, int64_t channel, float* h) {
  using F32 = typename Vector<kWidth>::F32;
  const int64_t size = p.state_size, at = t * p.channels + channel;
  const float* a = p.a + channel * size;
  const float* b = p.b + t * size;
  const float* c = p.c + t * size;
  const float d = Softplus(p.dt_bias != nullptr ? p.dt[at] + p.dt_bias[channel] : p.dt[at]);
  const float dx = d * p.x[at];
  F32 sums = {}, state, decay, in, out;
  int64_t n = 0;
  for (; n + kWidth <= size; n += kWidth) {
    std::memcpy(&state, h + n, sizeof(F32));
    std::memcpy(&decay, a + n, sizeof(F32));
    std::memcpy(&in, b + n, sizeof(F32));
    std::memcpy(&out, c + n, sizeof(F32));
    decay = decay * d;
    Exp<kWidth>(&decay);
    state = state * decay + in * dx;
    std::memcpy(h + n, &state, sizeof(F32));
    sums += state * out;
  }
  float sum = SumOfRegister<kWidth>(sums);
  for (; n < size; ++n) {
    h[n] = h[n] * std::exp(d * a[n]) + b[n] * dx;
    sum += h[n] * c[n];
  }
  return p.skip != nullptr ? sum + p.skip[channel] * p.x[at] : sum;
}

template <int kWidth>
KEEL_INLINE void Selective(const SelectiveScan& p, const RecurrentSequence& s, int64_t first,
                           int64_t last) {
  for (int64_t t = s.begin; t < s.end; ++t) {
    for (int64_t c = first; c < last; ++c)
      p.y[t * p.channels + c] = SelectiveToken<kWidth>(p, t, c, s.state + c * p.state_size);
  }
}

template <int kWidth>
KEEL_INLINE void Scan(const ChannelScan& p, const RecurrentSequence& s, int64_t first,
                      int64_t last) {
  for (int64_t t = s.begin; t < s.end; ++t) {
    const int64_t row = t * p.channels;
    int64_t c = first;
    for (; c + kLanes <= last; c += kLanes) {
      F32x16<kWidth> state, a, x;
      F32::LoadLanes(s.state + c, &state);
      F32::LoadLanes(p.a + row + c, &a);
      F32::LoadLanes(p.x + row + c, &x);
      state = state * a + x;
      F32::StoreLanes(state, s.state + c);
      F32::StoreLanes(state, p.y + row + c);
    }
    for (; c < last; ++c) p.y[row + c] = s.state[c] = s.state[c] * p.a[row + c] + p.x[row + c];
  }
}

// The functions of a variant, of which `target` says the instruction set.
#define KEEL_RECURRENCE_VARIANT(Name, kWidth, target)                                            \
  target void Conv##Name(const CausalConv& p, const RecurrentSequence& s, int64_t first,         \
                         int64_t last) {                                                         \
    Conv<kWidth>(p, s, first, last);                                                             \
  }                                                                                              \
  target void Space##Name(const StateSpace& p, const RecurrentSequence& s, int64_t head) {       \
    Space<kWidth>(p, s, head);                                                                   \
  }                                                                                              \
  target void Selective##Name(const SelectiveScan& p, const RecurrentSequence& s, int64_t first, \
                              int64_t last) {                                                    \
    Selective<kWidth>(p, s, first, last);                                                        \
  }                                                                                              \
  target void Delta##Name(const DeltaRule& p, const RecurrentSequence& s, int64_t head) {        \
    Delta<kWidth>(p, s, head);                                                                   \
  }                                                                                              \
  target void Scan##Name(const ChannelScan& p, const RecurrentSequence& s, int64_t first,        \
                         int64_t last) {                                                         \
    Scan<kWidth>(p, s, first, last);                                                             \
  }

#define KEEL_NO_TARGET
KEEL_RECURRENCE_VARIANT(Plain, 4, KEEL_NO_TARGET)
#if defined(__x86_64__)
KEEL_RECURRENCE_VARIANT(Avx2, 8, KEEL_TARGET_AVX2)
KEEL_RECURRENCE_VARIANT(Avx512, 16, KEEL_TARGET_AVX512)
#endif

const RecurrenceVariant& Fastest() {
  static const auto* variant = new RecurrenceVariant(RecurrenceVariants(Cpu()).back());
  return *variant;
}

// Parts of sequences, `parts` each, on all threads; `work` is that of all parts together.
void ForEachPart(size_t num_sequences, int64_t parts, int64_t work,
                 absl::FunctionRef<void(size_t sequence, int64_t part)> f) {
  const int64_t total = static_cast<int64_t>(num_sequences) * parts;
  const int64_t grain = std::max<int64_t>(1, total * kWorkAPiece / std::max<int64_t>(1, work));
  ParallelFor(total, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(static_cast<size_t>(i / parts), i % parts);
  });
}

int64_t Tokens(absl::Span<const RecurrentSequence> sequences) {
  int64_t tokens = 0;
  for (const RecurrentSequence& s : sequences) tokens += s.end - s.begin;
  return tokens;
}

// Pieces of so many channels of each sequence, at `work` a token and channel.
void ForEachPiece(
    absl::Span<const RecurrentSequence> sequences, int64_t channels, int64_t size, int64_t work,
    absl::FunctionRef<void(const RecurrentSequence&, int64_t first, int64_t last)> f) {
  ForEachPart(sequences.size(), (channels + size - 1) / size, Tokens(sequences) * channels * work,
              [&](size_t i, int64_t part) {
                f(sequences[i], part * size, std::min((part + 1) * size, channels));
              });
}

}  // namespace

std::vector<RecurrenceVariant> RecurrenceVariants(const CpuFeatures& cpu) {
  std::vector<RecurrenceVariant> variants = {
      {"plain", ConvPlain, SpacePlain, SelectivePlain, DeltaPlain, ScanPlain}};
#if defined(__x86_64__)
  if (cpu.avx2) {
    variants.push_back({"avx2", ConvAvx2, SpaceAvx2, SelectiveAvx2, DeltaAvx2, ScanAvx2});
  }
  if (cpu.avx512) {
    variants.push_back(
        {"avx512", ConvAvx512, SpaceAvx512, SelectiveAvx512, DeltaAvx512, ScanAvx512});
  }
#else
  (void)cpu;
#endif
  return variants;
}

void RunCausalConv(const CausalConv& conv, absl::Span<const RecurrentSequence> sequences) {
  ForEachPiece(sequences, conv.channels, kChannelsAPiece, conv.kernel,
               [&](const RecurrentSequence& s, int64_t first, int64_t last) {
                 Fastest().conv(conv, s, first, last);
               });
}

void RunSelectiveScan(const SelectiveScan& scan, absl::Span<const RecurrentSequence> sequences) {
  constexpr int64_t kExp = 4;  // multiplications that an exponential is worth
  ForEachPiece(sequences, scan.channels, kSelectivePiece, scan.state_size * kExp,
               [&](const RecurrentSequence& s, int64_t first, int64_t last) {
                 Fastest().selective(scan, s, first, last);
               });
}

void RunChannelScan(const ChannelScan& scan, absl::Span<const RecurrentSequence> sequences) {
  ForEachPiece(sequences, scan.channels, kChannelsAPiece, 1,
               [&](const RecurrentSequence& s, int64_t first, int64_t last) {
                 Fastest().scan(scan, s, first, last);
               });
}

void RunDeltaRule(const DeltaRule& rule, absl::Span<const RecurrentSequence> sequences) {
  const int64_t work = Tokens(sequences) * rule.heads * rule.key_size * rule.value_size;
  ForEachPart(sequences.size(), rule.heads, work,
              [&](size_t i, int64_t head) { Fastest().delta(rule, sequences[i], head); });
}

void RunStateSpace(const StateSpace& space, absl::Span<const RecurrentSequence> sequences) {
  const int64_t work = Tokens(sequences) * space.heads * space.size * space.state_size;
  ForEachPart(sequences.size(), space.heads, work,
              [&](size_t i, int64_t head) { Fastest().space(space, sequences[i], head); });
}

}  // namespace keel

// Layers that carry a state from token to token: the causal convolution, the state spaces of Mamba-2
// (arXiv:2405.21060) and Mamba (arXiv:2312.00752), gated delta rules (arXiv:2412.06464) and linear
// attention, and plain linear recurrences. Everything in fp32, token by token in one order, so that a result depends neither on how a
// sequence was cut into steps nor on its neighbours.
#ifndef KEEL_CORE_KERNELS_RECURRENCE_H_
#define KEEL_CORE_KERNELS_RECURRENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/cpu.h"
#include "core/kernels/recurrence_params.h"

namespace keel {

// Ways to compute them: channels [first, last) or one head, of one sequence. The first is the plain reference.
struct RecurrenceVariant {
  std::string name;
  void (*conv)(const CausalConv&, const RecurrentSequence&, int64_t first, int64_t last);
  void (*space)(const StateSpace&, const RecurrentSequence&, int64_t head);
  void (*selective)(const SelectiveScan&, const RecurrentSequence&, int64_t first, int64_t last);
  void (*delta)(const DeltaRule&, const RecurrentSequence&, int64_t head);
  void (*scan)(const ChannelScan&, const RecurrentSequence&, int64_t first, int64_t last);
};
std::vector<RecurrenceVariant> RecurrenceVariants(const CpuFeatures& cpu);

// The fastest variant, on all threads.
void RunCausalConv(const CausalConv& conv, absl::Span<const RecurrentSequence> sequences);
void RunStateSpace(const StateSpace& space, absl::Span<const RecurrentSequence> sequences);
void RunSelectiveScan(const SelectiveScan& scan, absl::Span<const RecurrentSequence> sequences);
void RunDeltaRule(const DeltaRule& rule, absl::Span<const RecurrentSequence> sequences);
void RunChannelScan(const ChannelScan& scan, absl::Span<const RecurrentSequence> sequences);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_RECURRENCE_H_

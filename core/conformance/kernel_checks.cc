#include "core/conformance/kernel_checks.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "core/conformance/kernel_calls.h"
#include "core/conformance/subject.h"
#include "core/plugin/interfaces.h"

namespace keel::conformance {
namespace {

// What sums in another order may differ by, of the largest number.
constexpr double kRounding = 1e-5, kRoundingBf16 = 2e-2;

// Runs `check` on each kernel that a model of the subject calls; skips those that take no type of
// the kit's.
Finding ForEachKernel(const Subject& subject,
                      absl::FunctionRef<Finding(const KernelCall&, const KernelInstance&)> check) {
  const auto plugin = LoadPlugin(subject, Interfaces());
  if (plugin.ok() && (*plugin)->classes().kernels.empty()) return Pass("brings no kernel");
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (!stages.status().ok()) return Skip(std::string(stages.status().message()));
    for (const KernelCall& call : KernelCallsOf(model, stages.model.graph)) {
      const auto instance = KernelInstance::Create(call);
      if (absl::IsUnimplemented(instance.status())) continue;
      Finding finding =
          instance.ok() ? check(call, **instance) : Fail(std::string(instance.status().message()));
      if (finding.outcome == Outcome::kPass) continue;
      finding.message = absl::StrCat(call.where, ": ", finding.message);
      return finding;
    }
    return Pass();
  });
}

Finding Failed(absl::string_view what, const absl::Status& status) {
  return Fail(absl::StrCat(what, ": ", status.message()));
}

// A run of `rows` rows; with states, of up to three sequences.
KernelRun RunOf(const KernelCall& call, int32_t rows) {
  KernelRun how;
  if (call.states.empty() || rows == 0) return how;
  const std::vector<int32_t> parts = rows < 3
                                         ? std::vector<int32_t>{rows}
                                         : std::vector<int32_t>{rows / 2, 1, rows - rows / 2 - 1};
  const int32_t slots[] = {4, 1, 3};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == 0) continue;
    how.rows.push_back(parts[i]);
    how.slots.push_back(slots[i]);
  }
  return how;
}

double Tolerance(const TestTensor& tensor) {
  return (tensor.dtype() == KEEL_BF16 ? kRoundingBf16 : kRounding) *
         std::max(1.0, tensor.Largest());
}

bool Same(const std::vector<TestTensor>& a, const std::vector<TestTensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].SameBits(b[i])) return false;
  }
  return true;
}

// "", or which results differ by more than rounding (with `bits`: at all).
std::string Differ(const std::vector<TestTensor>& expected, const std::vector<TestTensor>& found,
                   bool bits) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const double apart = expected[i].Apart(found[i]);
    if (bits ? expected[i].SameBits(found[i]) : apart <= Tolerance(expected[i])) continue;
    return absl::StrCat("result ", i, " differs by ", apart, ", the largest is ",
                        expected[i].Largest());
  }
  return "";
}

std::vector<int64_t> Range(int64_t begin, int64_t end) {
  std::vector<int64_t> out(end - begin);
  std::iota(out.begin(), out.end(), begin);
  return out;
}

// Those of `in` that have rows, with `rows` of them; the states as they are.
KernelData TakeRows(const KernelInstance& instance, const KernelData& in,
                    const std::vector<int64_t>& rows) {
  KernelData out = in;
  for (size_t i = 0; i < in.tensors.size(); ++i) {
    if (instance.HasRows(i)) out.tensors[i] = in.tensors[i].Rows(rows);
  }
  return out;
}

std::vector<TestTensor> RowsOf(const std::vector<TestTensor>& tensors,
                               const std::vector<int64_t>& rows) {
  std::vector<TestTensor> out;
  for (const TestTensor& tensor : tensors) out.push_back(tensor.Rows(rows));
  return out;
}

}  // namespace

Finding CheckKernelInfer(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall&, const KernelInstance& instance) {
    for (const int64_t rows : {1, 7, 33}) {
      Trying(absl::StrCat("infer of ", rows, " rows"));
      const absl::Status status = instance.CheckInfer(rows);
      if (!status.ok()) return Failed(absl::StrCat("infer of ", rows, " rows"), status);
    }
    return Pass();
  });
}

Finding CheckKernelBorders(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall& call, const KernelInstance& instance) {
    std::mt19937_64 random(subject.seed);
    constexpr int kRows = 16;  // whose ends are as aligned as most kernels like
    const KernelData in = instance.Draw(kRows, random);
    KernelRun how = RunOf(call, kRows);
    how.placement.border = Border::kTight;
    Trying(absl::StrCat(call.where,
                        " with operands that can't be written and nothing behind its memory"));
    const auto first = instance.Run(in, how);
    if (!first.ok()) return Failed("run", first.status());
    how.outputs_hold = 0;
    const auto again = instance.Run(in, how);
    if (!again.ok()) return Failed("run", again.status());
    if (Same(first->tensors, again->tensors)) return Pass();
    return Fail("its results depend on what was in their memory before: fill all of them");
  });
}

Finding CheckKernelNoRows(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall& call, const KernelInstance& instance) {
    std::mt19937_64 random(subject.seed);
    for (const int32_t rows : {0, 1}) {
      Trying(absl::StrCat(call.where, " with ", rows, " rows"));
      const auto out = instance.Run(instance.Draw(rows, random), RunOf(call, rows));
      if (!out.ok()) return Failed(absl::StrCat("with ", rows, " rows"), out.status());
    }
    return Pass();
  });
}

Finding CheckKernelPlacement(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall& call, const KernelInstance& instance) {
    std::mt19937_64 random(subject.seed);
    constexpr int kRows = 5;
    const KernelData in = instance.Draw(kRows, random);
    KernelRun how = RunOf(call, kRows);
    const auto expected = instance.Run(in, how);
    if (!expected.ok()) return Failed("run", expected.status());
    constexpr size_t kOffset = 8;  // of any type's elements
    how.placement = {.offset = kOffset, .byte_offset = 2 * kOffset};
    Trying(absl::StrCat(call.where, " with operands that are aligned to 8 bytes, no more"));
    const auto found = instance.Run(in, how);
    if (!found.ok()) return Failed("with operands that are not aligned", found.status());
    const std::string apart = Differ(expected->tensors, found->tensors, false);
    if (apart.empty()) return Pass();
    return Fail(absl::StrCat("with operands at a byte_offset, aligned to their elements: ", apart));
  });
}

Finding CheckKernelRows(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall& call, const KernelInstance& instance) {
    if (!call.Has(KEEL_KERNEL_ROWWISE) || !call.states.empty()) return Pass();
    constexpr int64_t kRows = 67;
    std::mt19937_64 random(subject.seed);
    const KernelData in = instance.Draw(kRows, random);
    const auto whole = instance.Run(in, {});
    if (!whole.ok()) return Failed("run", whole.status());
    std::vector<int64_t> order = Range(0, kRows);
    std::shuffle(order.begin(), order.end(), random);
    const auto shuffled = instance.Run(TakeRows(instance, in, order), {});
    if (!shuffled.ok()) return Failed("run", shuffled.status());
    std::string apart = Differ(RowsOf(whole->tensors, order), shuffled->tensors, false);
    if (!apart.empty()) return Fail(absl::StrCat("with its rows in another order: ", apart));
    const std::vector<int64_t> some = Range(kRows - 3, kRows);
    const auto few = instance.Run(TakeRows(instance, in, some), {});
    if (!few.ok()) return Failed("run", few.status());
    apart = Differ(RowsOf(whole->tensors, some), few->tensors, false);
    return apart.empty() ? Pass() : Fail(absl::StrCat("with some of its rows alone: ", apart));
  });
}

Finding CheckKernelBits(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall& call, const KernelInstance& instance) {
    constexpr int32_t kRows = 29, kFew = 5;
    std::mt19937_64 random(subject.seed);
    const KernelData in = instance.Draw(kRows, random);
    KernelRun how = RunOf(call, kRows);
    const auto expected = instance.Run(in, how);
    if (!expected.ok()) return Failed("run", expected.status());
    for (int round = 1; round <= 10 && call.Has(KEEL_KERNEL_DETERMINISTIC); ++round) {
      how.pieces = 1 + round % 4;
      const auto again = instance.Run(in, how);
      if (!again.ok()) return Failed("run", again.status());
      if (Same(expected->tensors, again->tensors) && Same(expected->states, again->states))
        continue;
      return Fail(absl::StrCat("KEEL_KERNEL_DETERMINISTIC, but run ", round, " with ", how.pieces,
                               " threads gives other bits"));
    }
    if (!call.Has(KEEL_KERNEL_INVARIANT)) return Pass();
    // The rows of the first sequence, or some, without the others.
    const int32_t few = how.rows.empty() ? kFew : how.rows[0];
    const std::vector<int64_t> rows = Range(0, few);
    KernelRun alone;
    if (!how.rows.empty()) alone = {.rows = {few}, .slots = {how.slots[0]}};
    const auto out = instance.Run(TakeRows(instance, in, rows), alone);
    if (!out.ok()) return Failed("run", out.status());
    if (Same(RowsOf(expected->tensors, rows), out->tensors)) return Pass();
    return Fail("KEEL_KERNEL_INVARIANT, but rows have other bits where others are in the step");
  });
}

Finding CheckKernelStates(const Subject& subject) {
  return ForEachKernel(subject, [&](const KernelCall& call, const KernelInstance& instance) {
    if (call.states.empty()) return Pass();
    constexpr int32_t kRows = 11, kFirst = 4;
    std::mt19937_64 random(subject.seed);
    const KernelData in = instance.Draw(kRows, random);
    const KernelRun together = RunOf(call, kRows);
    const auto whole = instance.Run(in, together);
    if (!whole.ok()) return Failed("run", whole.status());
    std::vector<int64_t> others;
    for (int64_t slot = 0; slot < KernelInstance::kSlots; ++slot) {
      if (std::find(together.slots.begin(), together.slots.end(), slot) == together.slots.end())
        others.push_back(slot);
    }
    if (!Same(RowsOf(in.states, others), RowsOf(whole->states, others)))
      return Fail("writes states of sequences that are not in the step");
    // Each sequence by itself, and in two steps.
    int64_t begin = 0;
    for (size_t s = 0; s < together.rows.size(); ++s) {
      const int32_t rows = together.rows[s], slot = together.slots[s];
      KernelData state = in;
      const int32_t cuts[] = {0, std::min(kFirst, rows), rows};
      for (int part = 0; part < 2; ++part) {
        const std::vector<int64_t> mine = Range(begin + cuts[part], begin + cuts[part + 1]);
        if (mine.empty()) continue;
        KernelData step = TakeRows(instance, in, mine);
        step.states = state.states;
        const auto out =
            instance.Run(step, {.rows = {cuts[part + 1] - cuts[part]}, .slots = {slot}});
        if (!out.ok()) return Failed("run", out.status());
        const std::string apart = Differ(RowsOf(whole->tensors, mine), out->tensors, false);
        if (!apart.empty())
          return Fail(absl::StrCat("a sequence by itself, in two steps: ", apart));
        state.states = out->states;
      }
      const std::string apart =
          Differ(RowsOf(whole->states, {slot}), RowsOf(state.states, {slot}), false);
      if (!apart.empty()) return Fail(absl::StrCat("its states after two steps: ", apart));
      begin += rows;
    }
    return Pass();
  });
}

}  // namespace keel::conformance

#include "core/conformance/attention_checks.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/conformance/attention_step.h"
#include "core/conformance/subject.h"
#include "core/plugin/interfaces.h"

namespace keel::conformance {
namespace {

// Of the largest number of a result: in float32, in bfloat16, and of a cache that may round.
constexpr double kTolerance = 1e-4, kToleranceBf16 = 2e-2, kToleranceOwnCache = 5e-2;

using Sequences = std::vector<AttentionSequence>;

// What models have, each by itself, and some of it together.
std::vector<AttentionLayer> Layers() {
  const std::vector<AttentionLayer> kinds = {
      {},
      {.heads = 3, .kv_heads = 3, .qk_dim = 19, .v_dim = 19},
      {.heads = 5, .kv_heads = 1, .qk_dim = 24, .v_dim = 8},
      {.window = 7},
      {.chunk = 8},
      {.softcap = 2},
      {.alibi = true},
      {.sinks = true},
      {.heads = 6, .kv_heads = 1, .qk_dim = 24, .v_dim = 16, .latent = true},
      {.window = 5, .softcap = 2, .sinks = true},
  };
  std::vector<AttentionLayer> layers;
  for (const AttentionLayer& kind : kinds) {
    for (const uint32_t dtype : {KEEL_F32, KEEL_BF16}) {
      for (const int64_t block_size : {4, 16, 32, 64}) {
        layers.push_back(kind);
        layers.back().dtype = dtype;
        layers.back().block_size = block_size;
      }
    }
  }
  return layers;
}

// A first token, a decode, a prompt, a chunk of one, and all of them in one step.
const std::vector<Sequences>& Steps() {
  static const auto* steps = new std::vector<Sequences>{
      {{1, 1}},
      {{37, 1}},
      {{21, 21}},
      {{33, 12}},
      {{5, 1}, {17, 17}, {40, 1}, {33, 12}, {4, 4}, {65, 3}},
  };
  return *steps;
}

using AttentionCheck =
    absl::FunctionRef<Finding(const AttentionSubject&, const AttentionLayer&, const Sequences&)>;

// Runs `check` for each class on each layer that it takes and each step.
Finding ForEachStep(const Subject& subject, AttentionCheck check) {
  const auto plugin = LoadPlugin(subject, Interfaces());
  if (!plugin.ok()) return Skip(absl::StrCat("does not load: ", plugin.status().message()));
  if ((*plugin)->classes().attention.empty()) return Pass("brings no attention");
  for (const keel_attention_class* c : (*plugin)->classes().attention) {
    const AttentionSubject attention = {
        c, (*plugin)->self(),
        [raw = plugin->get()](absl::string_view what, absl::FunctionRef<keel_status()> call) {
          return raw->Call(what, call);
        }};
    int taken = 0;
    for (const AttentionLayer& layer : Layers()) {
      if (!Ask(attention, layer).ok()) continue;
      ++taken;
      for (const Sequences& step : Steps()) {
        Trying(absl::StrCat(c->name, ": ", ToString(layer)));
        Finding finding = check(attention, layer, step);
        if (finding.outcome == Outcome::kPass) continue;
        std::string sequences;
        for (const AttentionSequence& s : step)
          absl::StrAppend(&sequences, sequences.empty() ? "" : ", ", s.queries, " of ", s.keys);
        finding.message = absl::StrCat(c->name, " with ", ToString(layer),
                                       "; queries of keys: ", sequences, ": ", finding.message);
        return finding;
      }
    }
    if (taken == 0) return Skip(absl::StrCat(c->name, " takes no attention that the kit knows"));
  }
  return Pass();
}

// Two runs of one step must agree.
Finding Compare(const TestTensor& expected, const TestTensor& found, double tolerance,
                absl::string_view what) {
  const double apart = expected.Apart(found), largest = expected.Largest();
  if (apart <= tolerance * largest) return Pass();
  return Fail(absl::StrCat(what, ": ", apart, " apart, the largest number is ", largest));
}

double ToleranceOf(const AttentionLayer& layer, const AttentionResult& result) {
  if (!result.keeps_rows) return kToleranceOwnCache;
  return layer.dtype == KEEL_F32 ? kTolerance : kToleranceBf16;
}

// A step laid out otherwise against the step as it is.
Finding SameAsPlain(const AttentionSubject& attention, const AttentionData& data,
                    const AttentionRun& how, absl::string_view what) {
  const auto plain = RunAttention(attention, data, {});
  if (!plain.ok()) return Pass();  // another requirement's
  const auto other = RunAttention(attention, data, how);
  if (!other.ok()) return Fail(absl::StrCat(what, ": ", other.status().message()));
  const double tolerance = data.layer.dtype == KEEL_F32 ? kTolerance : kToleranceBf16;
  return Compare(plain->out, other->out, tolerance, what);
}

TestTensor RowsOf(const TestTensor& out, const Sequences& step, size_t sequence) {
  std::vector<int64_t> rows;
  int64_t row = 0;
  for (size_t s = 0; s < step.size(); ++s) {
    for (int64_t i = 0; i < step[s].queries; ++i, ++row) {
      if (s == sequence) rows.push_back(row);
    }
  }
  return out.Rows(rows);
}

}  // namespace

Finding CheckAttentionServes(const Subject& subject) {
  const auto plugin = LoadPlugin(subject, Interfaces());
  if (!plugin.ok()) return Skip(absl::StrCat("does not load: ", plugin.status().message()));
  for (const keel_attention_class* c : (*plugin)->classes().attention) {
    const AttentionSubject attention = {
        c, (*plugin)->self(),
        [raw = plugin->get()](absl::string_view what, absl::FunctionRef<keel_status()> call) {
          return raw->Call(what, call);
        }};
    for (const AttentionLayer& layer : Layers()) {
      Trying(absl::StrCat(c->name, ".prepare: ", ToString(layer)));
      const absl::Status asked = Ask(attention, layer);
      const bool has_reason = !absl::StrContains(asked.message(), "no message");
      if (asked.ok() || (absl::IsUnimplemented(asked) && has_reason)) continue;
      return Fail(absl::StrCat(ToString(layer), ": ", asked.ToString(),
                               "; refuse with UNIMPLEMENTED and a reason by set_error"));
    }
  }
  return ForEachStep(subject, [&](const AttentionSubject& attention, const AttentionLayer& layer,
                                  const Sequences& step) {
    const auto result = RunAttention(attention, AttentionData(layer, step, subject.seed), {});
    if (result.ok()) return Pass();
    return Fail(absl::StrCat("prepare took it, and then: ", result.status().message()));
  });
}

Finding CheckAttentionNumbers(const Subject& subject) {
  return ForEachStep(subject, [&](const AttentionSubject& attention, const AttentionLayer& layer,
                                  const Sequences& step) {
    const AttentionData data(layer, step, subject.seed);
    const auto result = RunAttention(attention, data, {});
    if (!result.ok()) return Pass();  // KEEL-PLG-130
    return Compare(PlainAttention(data), result->out, ToleranceOf(layer, *result),
                   "against softmax(q k^T scale) v");
  });
}

Finding CheckAttentionForeignKeys(const Subject& subject) {
  return ForEachStep(subject, [&](const AttentionSubject& attention, const AttentionLayer& layer,
                                  const Sequences& step) {
    return SameAsPlain(attention, AttentionData(layer, step, subject.seed), {.scrambled = true},
                       "with blocks in another order, and NaN where no key of the sequence is");
  });
}

Finding CheckAttentionPlacement(const Subject& subject) {
  return ForEachStep(subject, [&](const AttentionSubject& attention, const AttentionLayer& layer,
                                  const Sequences& step) {
    constexpr size_t kOffset = 8;
    return SameAsPlain(
        attention, AttentionData(layer, step, subject.seed),
        {.placement = {.offset = kOffset, .byte_offset = 2 * kOffset, .gap = 3}},
        "with q, k and v at a byte_offset, aligned to their elements, gaps between heads");
  });
}

Finding CheckAttentionBorders(const Subject& subject) {
  return ForEachStep(subject, [&](const AttentionSubject& attention, const AttentionLayer& layer,
                                  const Sequences& step) {
    if (layer.block_size != 16) return Pass();  // the block's size makes no difference
    const auto result = RunAttention(attention, AttentionData(layer, step, subject.seed),
                                     {.placement = {.border = Border::kTight}});
    if (!result.ok() || result->broken.empty()) return Pass();
    return Fail(result->broken);
  });
}

Finding CheckAttentionBits(const Subject& subject) {
  return ForEachStep(subject, [&](const AttentionSubject& attention, const AttentionLayer& layer,
                                  const Sequences& step) {
    const uint32_t flags = attention.attention->flags;
    const AttentionData data(layer, step, subject.seed);
    if (layer.block_size != 16 ||
        (flags & (KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT)) == 0)
      return Pass();
    const auto expected = RunAttention(attention, data, {});
    if (!expected.ok()) return Pass();
    for (int round = 1; round <= 10 && (flags & KEEL_KERNEL_DETERMINISTIC) != 0; ++round) {
      const auto again = RunAttention(attention, data, {.pieces = 1 + round % 4});
      if (again.ok() && again->out.SameBits(expected->out)) continue;
      return Fail(absl::StrCat("KEEL_KERNEL_DETERMINISTIC, but run ", round, " with ",
                               1 + round % 4, " threads gives other bits"));
    }
    for (size_t s = 0; s < step.size() && (flags & KEEL_KERNEL_INVARIANT) != 0; ++s) {
      const auto alone = RunAttention(attention, data.Only(s), {});
      if (alone.ok() && alone->out.SameBits(RowsOf(expected->out, step, s))) continue;
      return Fail("KEEL_KERNEL_INVARIANT, but a sequence by itself has other bits");
    }
    return Pass();
  });
}

}  // namespace keel::conformance

// What eager and sdpa share: they see one sequence at a time, with its keys and values gathered out
// of the cache. All of it throws c10::Error.
#ifndef KEEL_CORE_ATTENTION_DENSE_H_
#define KEEL_CORE_ATTENTION_DENSE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/attention/attention.h"

namespace keel {

struct DenseSequence {
  at::Tensor q;    // [heads, Q, qk_dim], a view
  at::Tensor k;    // [kv_heads, K, qk_dim]
  at::Tensor v;    // [kv_heads, K, v_dim]
  at::Tensor out;  // [Q, heads, v_dim], a view of the call's
  int64_t first_key =
      0;  // position of k's first: those before are seen by no query and may be gone
  int64_t first_row = 0;  // of the call's rows, q's first
  // [2, Q] i64: where the group of each query begins and ends, as positions; undefined: no query has one.
  at::Tensor groups = {};
};

// Checks that the call's tensors have the shapes of its desc.
void CheckCall(const AttentionCall& call);

// Numbers of groups, [N], by the argument of that name; null: the call has none.
const int32_t* GroupNumbers(const AttentionCall& call);

// How many sequences (of an encoder: segments) the call has, and one of them.
int64_t NumSequences(const AttentionCall& call);
DenseSequence GatherSequence(const AttentionCall& call, int64_t index);

// Where an encoder's segments begin, and the end of the last.
std::vector<int32_t> EncoderBorders(const AttentionCall& call);

// The call's sequences [begin, end) by themselves, all as views. Points to `metadata`, which it fills.
AttentionCall SliceSequences(const AttentionCall& call, int64_t begin, int64_t end,
                             AttentionMetadata* metadata);

// Which keys each query sees, [Q, K] bool, or undefined if all see all. The last query is at the
// last key's position, and sees its group too; an encoder's query sees what follows as what is
// before, within its window.
at::Tensor VisibleKeys(const keel_attention_desc& desc, const DenseSequence& sequence);

// kUnimplemented for kinds that no dense implementation knows, and for an argument that is not among
// `known_args`: a model that gives one counts on it.
absl::Status CheckKind(absl::string_view impl, const AttentionUse& use,
                       absl::Span<const absl::string_view> known_args);

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_DENSE_H_

#include "core/attention/dense.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/visible_keys.h"
#include "core/kernels/attention_groups.h"

namespace keel {
namespace {

// [segments + 1], or none.
const at::Tensor* Segments(const AttentionCall& call) {
  const NamedArg* arg = call.Find("segments");
  if (arg == nullptr) return nullptr;
  TORCH_CHECK(arg->tensor.defined() && arg->tensor.dim() == 1 && arg->tensor.size(0) >= 1 &&
                  arg->tensor.scalar_type() == at::ScalarType::Int,
              "segments must be an int32 tensor of one dimension");
  return &arg->tensor;
}

// The tokens [begin, end) of a sequence's blocks, [kv_heads, end - begin, D] of `type`; `begin` is a block's. Of
// `scales`, [blocks, kv_heads, block_size], those tokens' are multiplied by, if there are any.
at::Tensor GatherBlocks(const at::Tensor& cache, const at::Tensor& scales, const at::Tensor& blocks,
                        int64_t begin, int64_t end, at::ScalarType type) {
  const int64_t block_size = cache.size(2), first = begin / block_size;
  const int64_t used = (end + block_size - 1) / block_size - first;
  const at::Tensor own = blocks.narrow(0, first, used);
  at::Tensor rows;
  if (scales.defined()) {
    // Codes are picked as bytes: not every type of 8 bits can be.
    rows = cache.view(at::kByte).index_select(0, own).view(cache.scalar_type()).to(at::kFloat) *
           scales.index_select(0, own).unsqueeze(3);
  } else {
    rows = cache.index_select(0, own);
  }
  return rows.to(type)
      .permute({1, 0, 2, 3})
      .reshape({cache.size(1), used * block_size, cache.size(3)})
      .narrow(1, 0, end - begin);
}

// What DenseSequence says of a sequence's groups: its queries are the call's rows from `begin` on, and the first is at
// `position`.
at::Tensor GroupsOf(const AttentionCall& call, int64_t begin, int64_t queries, int64_t position) {
  const int32_t* numbers = GroupNumbers(call);
  const int32_t borders[] = {0, static_cast<int32_t>(queries)};
  std::vector<int32_t> rows;
  if (numbers == nullptr || !FindGroupRows(numbers + begin, borders, 1, &rows)) return {};
  at::Tensor groups = at::empty({2, queries}, at::kLong);
  auto* out = groups.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < 2 * queries; ++i) out[i % 2 * queries + i / 2] = position + rows[i];
  return groups;
}

// Where an encoder's segments begin, and the end: the sequences' borders in a step, else what the
// model says, else one of all rows.
int64_t Border(const AttentionCall& call, int64_t index) {
  if (!call.sequences.empty()) return call.sequences[index];
  if (const at::Tensor* segments = Segments(call))
    return segments->const_data_ptr<int32_t>()[index];
  return index == 0 ? 0 : call.q.size(0);
}

void CheckSegment(const AttentionCall& call, int64_t index, int64_t begin, int64_t end) {
  const int64_t tokens = call.q.size(0);
  TORCH_CHECK(0 <= begin && begin <= end && end <= tokens, "segment ", index, " is [", begin, ", ",
              end, ") of ", tokens, " rows");
}

DenseSequence GatherSegment(const AttentionCall& call, int64_t index) {
  const int64_t begin = Border(call, index), end = Border(call, index + 1);
  CheckSegment(call, index, begin, end);
  const int64_t length = end - begin;
  return {call.q.narrow(0, begin, length).transpose(0, 1),
          call.k.narrow(0, begin, length).transpose(0, 1),
          call.v.narrow(0, begin, length).transpose(0, 1),
          call.out.narrow(0, begin, length),
          0,
          begin};
}

// Or rows of the output would be whatever was there before.
void CheckSegmentsCover(const AttentionCall& call) {
  if (!call.sequences.empty()) return;
  const at::Tensor* segments = Segments(call);
  if (segments == nullptr) return;
  const int64_t begin = Border(call, 0), end = Border(call, segments->size(0) - 1);
  TORCH_CHECK(begin == 0 && end == call.q.size(0), "segments are of rows [", begin, ", ", end,
              "), expected all ", call.q.size(0));
}

}  // namespace

void CheckCall(const AttentionCall& call) {
  const keel_attention_desc& d = *call.desc;
  TORCH_CHECK(call.q.dim() == 3 && call.q.size(1) == d.heads && call.q.size(2) == d.qk_dim,
              "queries are ", call.q.sizes(), ", expected [N, ", d.heads, ", ", d.qk_dim, "]");
  if (d.kind == KEEL_ATTENTION_ENCODER) {
    const at::Tensor& q = call.q;
    TORCH_CHECK(call.k.defined() && call.v.defined() && call.k.dim() == 3 && call.v.dim() == 3 &&
                    call.k.size(0) == q.size(0) && call.v.size(0) == q.size(0) &&
                    call.k.size(1) == d.kv_heads && call.v.size(1) == d.kv_heads &&
                    call.k.size(2) == d.qk_dim && call.v.size(2) == d.v_dim,
                "an encoder's keys and values must be [N, ", d.kv_heads, ", D]");
    TORCH_CHECK(call.sequences.empty() || call.sequences.back() == q.size(0), "queries are ",
                q.sizes(), " in a step of ", call.sequences.empty() ? 0 : call.sequences.back(),
                " tokens");
    CheckSegmentsCover(call);
    return;
  }
  TORCH_CHECK(call.metadata != nullptr && call.k_cache.defined() && call.v_cache.defined(),
              "causal attention outside of a step, or without a cache");
  TORCH_CHECK(call.q.size(0) == call.metadata->slots.size(0), "queries are ", call.q.sizes(),
              " in a step of ", call.metadata->slots.size(0), " tokens");
}

const int32_t* GroupNumbers(const AttentionCall& call) {
  const NamedArg* arg = call.Find("groups");
  if (arg == nullptr) return nullptr;
  const at::Tensor& groups = arg->tensor;
  TORCH_CHECK(groups.defined() && groups.dim() == 1 && groups.size(0) == call.q.size(0) &&
                  groups.scalar_type() == at::ScalarType::Int && groups.is_contiguous(),
              "groups must be an int32 tensor with a number for each of ", call.q.size(0), " rows");
  return groups.const_data_ptr<int32_t>();
}

int64_t NumSequences(const AttentionCall& call) {
  if (call.desc->kind != KEEL_ATTENTION_ENCODER) return call.metadata->num_sequences();
  if (!call.sequences.empty()) return static_cast<int64_t>(call.sequences.size()) - 1;
  const at::Tensor* segments = Segments(call);
  return segments ? segments->size(0) - 1 : 1;
}

DenseSequence GatherSequence(const AttentionCall& call, int64_t index) {
  if (call.desc->kind == KEEL_ATTENTION_ENCODER) return GatherSegment(call, index);
  const AttentionMetadata& m = *call.metadata;
  const int32_t* cu_q = m.cu_q.const_data_ptr<int32_t>();
  const int64_t keys = m.seq_lens.const_data_ptr<int32_t>()[index];
  const int64_t begin = cu_q[index], length = cu_q[index + 1] - cu_q[index];
  const at::Tensor blocks = m.block_table.select(0, index);
  // Blocks before hold what another sequence wrote meanwhile.
  const int64_t block_size = call.k_cache.size(2);
  const int64_t first =
      FirstVisibleKey(keys - length, call.desc->window, call.desc->chunk) / block_size * block_size;
  return {call.q.narrow(0, begin, length).transpose(0, 1),
          GatherBlocks(call.k_cache, call.k_scales, blocks, first, keys, call.q.scalar_type()),
          GatherBlocks(call.v_cache, call.v_scales, blocks, first, keys, call.q.scalar_type()),
          call.out.narrow(0, begin, length),
          first,
          begin,
          GroupsOf(call, begin, length, keys - length)};
}

std::vector<int32_t> EncoderBorders(const AttentionCall& call) {
  std::vector<int32_t> borders = {static_cast<int32_t>(Border(call, 0))};
  for (int64_t i = 0; i < NumSequences(call); ++i) {
    borders.push_back(static_cast<int32_t>(Border(call, i + 1)));
    CheckSegment(call, i, borders[i], borders[i + 1]);
  }
  return borders;
}

AttentionCall SliceSequences(const AttentionCall& call, int64_t begin, int64_t end,
                             AttentionMetadata* metadata) {
  const AttentionMetadata& m = *call.metadata;
  const int32_t* cu_q = m.cu_q.const_data_ptr<int32_t>();
  const int64_t first_token = cu_q[begin], tokens = cu_q[end] - first_token;
  *metadata = m;
  metadata->block_table = m.block_table.narrow(0, begin, end - begin);
  metadata->seq_lens = m.seq_lens.narrow(0, begin, end - begin);
  metadata->cu_q = m.cu_q.narrow(0, begin, end - begin + 1) - first_token;
  metadata->slots = m.slots.narrow(0, first_token, tokens);
  AttentionCall part = call;
  part.metadata = metadata;
  part.q = call.q.narrow(0, first_token, tokens);
  part.out = call.out.narrow(0, first_token, tokens);
  return part;
}

at::Tensor VisibleKeys(const keel_attention_desc& desc, const DenseSequence& s) {
  const int64_t queries = s.q.size(1), keys = s.first_key + s.k.size(1);
  const bool windowed = desc.window > 0 && desc.window < keys;
  if (desc.kind == KEEL_ATTENTION_ENCODER) {
    if (!windowed) return {};
    const at::Tensor row = at::arange(keys);
    return at::abs(row.unsqueeze(0) - row.unsqueeze(1)).lt(desc.window);
  }
  const bool chunked = desc.chunk > 0 && desc.chunk < keys;
  if (queries == 1 && !windowed && !chunked) return {};
  const at::Tensor j = at::arange(s.first_key, keys).unsqueeze(0);
  const at::Tensor i = at::arange(keys - queries, keys).unsqueeze(1);
  at::Tensor visible = j.le(i);
  if (windowed) visible = visible.logical_and(j.gt(i - desc.window));
  if (chunked) {
    visible =
        visible.logical_and(at::floor_divide(j, desc.chunk).eq(at::floor_divide(i, desc.chunk)));
  }
  if (s.groups.defined()) {
    const at::Tensor begin = s.groups.select(0, 0).unsqueeze(1);
    const at::Tensor end = s.groups.select(0, 1).unsqueeze(1);
    visible = visible.logical_or(j.ge(begin).logical_and(j.lt(end)));
  }
  return visible;
}

absl::Status CheckKind(absl::string_view impl, const AttentionUse& use,
                       absl::Span<const absl::string_view> known_args) {
  if (use.desc->kind == KEEL_ATTENTION_CROSS || use.desc->kind == KEEL_ATTENTION_MLA) {
    return absl::UnimplementedError(
        absl::StrCat(impl, ": ", use.desc->kind == KEEL_ATTENTION_CROSS ? "cross" : "MLA",
                     " attention is not served yet"));
  }
  if (use.desc->heads % use.desc->kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(impl, ": ", use.desc->heads, " heads, which ",
                                                   use.desc->kv_heads, " KV heads do not divide"));
  }
  for (size_t i = 0; i < use.args.size(); ++i) {
    const std::string& name = use.args[i];
    const bool known = std::find(known_args.begin(), known_args.end(), name) != known_args.end();
    if (known || use.MayOmit(i)) continue;
    return absl::UnimplementedError(absl::StrCat(impl, ": no argument \"", name, "\"; it takes ",
                                                 absl::StrJoin(known_args, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace keel

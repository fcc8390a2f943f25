#include "core/attention/paged.h"

#include <ATen/TensorOperators.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/attention/dense.h"
#include "core/kernels/kernel_type.h"
#include "core/kernels/paged_attention.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// A per-head argument as f32, kept alive by `keep`.
const float* HeadArg(const AttentionCall& call, absl::string_view name, at::Tensor* keep) {
  const NamedArg* arg = call.Find(name);
  if (arg == nullptr) return nullptr;
  TORCH_CHECK(arg->tensor.defined() && arg->tensor.numel() == call.desc->heads, std::string(name),
              " must have one entry a head");
  *keep = arg->tensor.to(at::kFloat).contiguous();
  return keep->const_data_ptr<float>();
}

// Runs the kernel over the sequences [begin, end) whose queries are the tokens from `first_token`.
struct KernelRun {
  PagedAttention params;
  at::Tensor q, slopes, sinks;  // kept alive

  explicit KernelRun(const AttentionCall& call) {
    const keel_attention_desc& d = *call.desc;
    q = call.q.stride(2) == 1 ? call.q : call.q.contiguous();
    // Values may be a part of the keys' rows.
    const at::Tensor& v_cache = call.v_cache;
    TORCH_CHECK(call.out.is_contiguous() && call.k_cache.is_contiguous() &&
                    v_cache.stride(3) == 1 &&
                    v_cache.stride(1) == v_cache.size(2) * v_cache.stride(2) &&
                    v_cache.stride(0) == v_cache.size(1) * v_cache.stride(1),
                "paged attention needs caches of contiguous rows and a contiguous output");
    TORCH_CHECK(
        call.k_cache.scalar_type() == q.scalar_type() && call.out.scalar_type() == q.scalar_type(),
        "queries, cache and output must have one type");
    const std::optional<KernelType> type = KernelTypeOf(q.scalar_type());
    TORCH_CHECK(type.has_value(), "paged attention of type ", q.scalar_type());
    params.type = *type;
    params.q = q.const_data_ptr();
    params.q_token_stride = q.stride(0);
    params.q_head_stride = q.stride(1);
    params.k_cache = call.k_cache.const_data_ptr();
    params.v_cache = call.v_cache.const_data_ptr();
    params.v_row_stride = call.v_cache.stride(2);
    params.out = call.out.data_ptr();
    params.heads = d.heads;
    params.kv_heads = d.kv_heads;
    params.qk_dim = d.qk_dim;
    params.v_dim = d.v_dim;
    params.block_size = call.k_cache.size(2);
    params.scale = static_cast<float>(d.scale);
    params.softcap = static_cast<float>(d.softcap);
    params.window = d.window;
    params.chunk = d.chunk;
    params.slopes = HeadArg(call, "alibi_slopes", &slopes);
    params.sinks = HeadArg(call, "sinks", &sinks);
    const AttentionMetadata& m = *call.metadata;
    params.block_table = m.block_table.const_data_ptr<int32_t>();
    params.max_blocks = m.block_table.size(1);
    params.seq_lens = m.seq_lens.const_data_ptr<int32_t>();
    params.cu_q = m.cu_q.const_data_ptr<int32_t>();
    params.num_sequences = m.num_sequences();
  }
};

}  // namespace

absl::Status PagedCacheAttention::Supports(const AttentionUse& use) const {
  if (invariant_ && use.desc->kind == KEEL_ATTENTION_ENCODER) {
    return absl::UnimplementedError(
        "paged: an encoder's attention has no batch-invariant form; run without --deterministic");
  }
  return CheckKind("paged", use, {"alibi_slopes", "sinks", "segments"});
}

absl::Status PagedCacheAttention::Run(const AttentionCall& call) const {
  if (call.desc->kind == KEEL_ATTENTION_ENCODER) {
    if (call.desc->softcap > 0 || call.Find("sinks") != nullptr) {
      return absl::UnimplementedError("paged: no softcap or sinks in an encoder");
    }
    return sdpa_.Run(call);
  }
  return CatchAten([&]() -> absl::Status {
    CheckCall(call);
    const bool sdpa_can = !invariant_ && call.desc->softcap == 0 && call.Find("sinks") == nullptr;
    const AttentionMetadata& m = *call.metadata;
    const int32_t* cu_q = m.cu_q.const_data_ptr<int32_t>();
    const auto is_dense = [&](int64_t s) {
      return sdpa_can && cu_q[s + 1] - cu_q[s] >= kDenseQueries;
    };
    // Runs of sequences that go the same way.
    for (int64_t begin = 0; begin < m.num_sequences();) {
      int64_t end = begin + 1;
      while (end < m.num_sequences() && is_dense(end) == is_dense(begin)) ++end;
      AttentionMetadata metadata;
      const AttentionCall part = SliceSequences(call, begin, end, &metadata);
      if (is_dense(begin)) {
        if (absl::Status status = sdpa_.Run(part); !status.ok()) return status;
      } else {
        RunPagedAttention(KernelRun(part).params);
      }
      begin = end;
    }
    return absl::OkStatus();
  });
}

}  // namespace keel

#include "core/attention/paged.h"

#include <ATen/TensorOperators.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/dense.h"
#include "core/kernels/attention_groups.h"
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

at::Tensor WithContiguousHeads(const at::Tensor& x) {
  return x.stride(2) == 1 ? x : x.contiguous();
}

// What the kernel is told of a call, and what that points to.
class KernelCall {
 public:
  explicit KernelCall(const AttentionCall& call) {
    const keel_attention_desc& d = *call.desc;
    q_ = WithContiguousHeads(call.q);
    const std::optional<KernelType> type = KernelTypeOf(q_.scalar_type());
    TORCH_CHECK(type.has_value(), "paged attention of type ", q_.scalar_type());
    TORCH_CHECK(call.out.is_contiguous() && call.out.scalar_type() == q_.scalar_type(),
                "paged attention needs a contiguous output of the queries' type");
    kernel_.type = *type;
    kernel_.kv_type = KvTypeOf(*type);
    kernel_.q = q_.const_data_ptr();
    kernel_.q_token_stride = q_.stride(0);
    kernel_.q_head_stride = q_.stride(1);
    kernel_.out = call.out.data_ptr();
    kernel_.heads = d.heads;
    kernel_.kv_heads = d.kv_heads;
    kernel_.qk_dim = d.qk_dim;
    kernel_.v_dim = d.v_dim;
    kernel_.scale = static_cast<float>(d.scale);
    kernel_.softcap = static_cast<float>(d.softcap);
    kernel_.slopes = HeadArg(call, "alibi_slopes", &slopes_);
    kernel_.sinks = HeadArg(call, "sinks", &sinks_);
    if (d.kind == KEEL_ATTENTION_ENCODER) {
      TakeRows(call);
    } else {
      TakeBlocks(call);
    }
  }

  const PagedAttention& kernel() const { return kernel_; }

 private:
  void TakeBlocks(const AttentionCall& call) {
    // Values may be a part of the keys' rows.
    const at::Tensor& v_cache = call.v_cache;
    TORCH_CHECK(call.k_cache.is_contiguous() && v_cache.stride(3) == 1 &&
                    v_cache.stride(1) == v_cache.size(2) * v_cache.stride(2) &&
                    v_cache.stride(0) == v_cache.size(1) * v_cache.stride(1),
                "paged attention needs caches of contiguous rows");
    const std::optional<KvType> kv_type = KvTypeOf(call.k_cache.scalar_type());
    TORCH_CHECK(kv_type.has_value() && v_cache.scalar_type() == call.k_cache.scalar_type(),
                "paged attention over keys of type ", call.k_cache.scalar_type(),
                " and values of type ", v_cache.scalar_type());
    kernel_.kv_type = *kv_type;
    if (HasScales(*kv_type)) {
      TORCH_CHECK(call.k_scales.defined() && call.v_scales.defined() &&
                      call.k_scales.is_contiguous() && call.v_scales.is_contiguous(),
                  "a cache of type ", call.k_cache.scalar_type(), " without scales");
      kernel_.k_scales = call.k_scales.const_data_ptr<float>();
      kernel_.v_scales = call.v_scales.const_data_ptr<float>();
    }
    kernel_.k_cache = call.k_cache.const_data_ptr();
    kernel_.v_cache = v_cache.const_data_ptr();
    kernel_.v_row_stride = v_cache.stride(2);
    kernel_.block_size = call.k_cache.size(2);
    kernel_.window = call.desc->window;
    kernel_.chunk = call.desc->chunk;
    const AttentionMetadata& m = *call.metadata;
    kernel_.block_table = m.block_table.const_data_ptr<int32_t>();
    kernel_.max_blocks = m.block_table.size(1);
    kernel_.seq_lens = m.seq_lens.const_data_ptr<int32_t>();
    kernel_.cu_q = m.cu_q.const_data_ptr<int32_t>();
    kernel_.num_sequences = m.num_sequences();
    const int32_t* groups = GroupNumbers(call);
    if (groups != nullptr &&
        FindGroupRows(groups, kernel_.cu_q, kernel_.num_sequences, &group_rows_))
      kernel_.group_rows = group_rows_.data();
  }

  // An encoder's: each query sees the whole of its sequence, or segment, or a window on both sides.
  void TakeRows(const AttentionCall& call) {
    k_ = WithContiguousHeads(call.k);
    v_ = WithContiguousHeads(call.v);
    TORCH_CHECK(k_.scalar_type() == q_.scalar_type() && v_.scalar_type() == q_.scalar_type(),
                "queries, keys and values must have one type");
    kernel_.k_cache = k_.const_data_ptr();
    kernel_.k_token_stride = k_.stride(0);
    kernel_.k_head_stride = k_.stride(1);
    kernel_.v_cache = v_.const_data_ptr();
    kernel_.v_token_stride = v_.stride(0);
    kernel_.v_head_stride = v_.stride(1);
    kernel_.causal = false;
    kernel_.window = call.desc->window;
    borders_ = EncoderBorders(call);
    kernel_.cu_q = borders_.data();
    kernel_.num_sequences = static_cast<int64_t>(borders_.size()) - 1;
  }

  PagedAttention kernel_;
  at::Tensor q_, k_, v_, slopes_, sinks_;
  std::vector<int32_t> borders_, group_rows_;
};

}  // namespace

absl::Status PagedCacheAttention::Supports(const AttentionUse& use) const {
  return CheckKind("paged", use, {"alibi_slopes", "groups", "sinks", "segments"});
}

absl::Status PagedCacheAttention::Run(const AttentionCall& call) const {
  return CatchAten([&]() -> absl::Status {
    CheckCall(call);
    RunPagedAttention(KernelCall(call).kernel());
    return absl::OkStatus();
  });
}

}  // namespace keel

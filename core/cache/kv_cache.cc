#include "core/cache/kv_cache.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/cache/checked_bytes.h"
#include "core/kernels/huge_memory.h"
#include "core/kernels/kernel_type.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

absl::StatusOr<int64_t> BlockBytes(const KvLayerSpec& spec, int64_t block_size, DType dtype) {
  std::vector<BlockTensor> tensors = spec.own;
  if (spec.has_rows) {
    const bool has_scales = dtype == DType::kF8E4M3FN || dtype == DType::kI8;
    for (const int64_t size : {spec.qk_dim, spec.v_dim}) {
      tensors.push_back({dtype, {block_size, spec.kv_heads, size}});
      if (has_scales) tensors.push_back({DType::kF32, {block_size, spec.kv_heads}});
      if (spec.values_in_keys) break;
    }
  }
  int64_t bytes = 0;
  for (const BlockTensor& tensor : tensors) {
    const int64_t element = static_cast<int64_t>(BytesOf(tensor.dtype));
    if (element == 0 || !ToScalarType(tensor.dtype)) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", spec.layer, ": no cache of type ", TorchName(tensor.dtype)));
    }
    std::vector<int64_t> factors = tensor.dims;
    factors.push_back(element);
    const auto part = CheckedBytes(factors);
    if (!part.ok()) return Annotate(part.status(), absl::StrCat("layer ", spec.layer));
    bytes += *part;
  }
  return bytes;
}

// In large pages: blocks are read that lie here and there, and with small ones reading waits for
// their translations. Less than such a page holds stays in small ones. Throws c10::Error,
// std::bad_alloc.
at::Tensor AllocateTensor(at::IntArrayRef dims, at::ScalarType type) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(type));
  for (const int64_t dim : dims) bytes *= dim;
  if (bytes < kHugePage) return at::empty(dims, type);
  HugeMemory memory = AllocateHugeMemory(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  const HugeMemoryFree free(bytes);
  return at::from_blob(
      memory.release(), dims, [free](void* p) { free(static_cast<char*>(p)); }, type);
}

}  // namespace

absl::StatusOr<KvCache> KvCache::Create(std::vector<KvLayerSpec> specs, int32_t block_size,
                                        DType dtype) {
  if (block_size < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("block size is ", block_size, ", expected >= 1"));
  }
  const auto type = ToScalarType(dtype);
  if (!type.has_value() || !KvTypeOf(*type).has_value())
    return absl::InvalidArgumentError(absl::StrCat("no KV cache of type ", TorchName(dtype)));
  KvCache cache;
  cache.block_size_ = block_size;
  cache.dtype_ = dtype;
  cache.type_ = *KvTypeOf(*type);
  absl::flat_hash_set<int32_t> known;
  for (const KvLayerSpec& spec : specs) {
    if (spec.kv_heads < 1 || spec.qk_dim < 1 || spec.v_dim < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", spec.layer, ": KV heads, key and value size must be >= 1, found ",
                       spec.kv_heads, ", ", spec.qk_dim, ", ", spec.v_dim));
    }
    if (spec.values_in_keys && spec.v_dim > spec.qk_dim) {
      return absl::InvalidArgumentError(absl::StrCat("layer ", spec.layer, ": values of ",
                                                     spec.v_dim, " in keys of ", spec.qk_dim));
    }
    if (!known.insert(spec.layer).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "two attentions keep keys and values as layer ", spec.layer,
          "; one of them must share keys and values (KEEL_ATTENTION_SHARE_KV) or another layer"));
    }
    const auto sees_alike = [&spec](const Group& group) {
      return group.window == spec.window && group.chunk == spec.chunk;
    };
    auto group = std::find_if(cache.groups_.begin(), cache.groups_.end(), sees_alike);
    if (group == cache.groups_.end())
      group = cache.groups_.insert(group, {spec.window, spec.chunk, 0, 0});
    if (!spec.here) continue;
    cache.index_of_layer_.emplace(spec.layer, cache.layers_.size());
    KEEL_ASSIGN_OR_RETURN(const int64_t bytes, BlockBytes(spec, block_size, dtype));
    group->block_bytes += bytes;
    if (group->block_bytes > kMaxBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a cache block of the layers up to ",
                                                     spec.layer, " takes ", group->block_bytes,
                                                     " bytes, expected at most ", kMaxBytes));
    }
    cache.layers_.push_back(
        {spec, static_cast<size_t>(group - cache.groups_.begin()), {}, {}, {}, {}, {}});
  }
  return cache;
}

void KvCache::AllocateLayer(Layer& layer, int64_t num_blocks) const {
  const KvLayerSpec& s = layer.spec;
  if (s.has_rows) {
    const at::ScalarType type = *ToScalarType(dtype_);
    layer.keys = AllocateTensor({num_blocks, s.kv_heads, block_size_, s.qk_dim}, type);
    layer.values = s.values_in_keys
                       ? layer.keys.narrow(3, 0, s.v_dim)
                       : AllocateTensor({num_blocks, s.kv_heads, block_size_, s.v_dim}, type);
  }
  if (s.has_rows && HasScales(type_)) {
    const std::vector<int64_t> dims = {num_blocks, s.kv_heads, block_size_};
    layer.key_scales = AllocateTensor(dims, at::kFloat);
    layer.value_scales = s.values_in_keys ? layer.key_scales : AllocateTensor(dims, at::kFloat);
  }
  for (const BlockTensor& tensor : s.own) {
    std::vector<int64_t> dims = {num_blocks};
    dims.insert(dims.end(), tensor.dims.begin(), tensor.dims.end());
    layer.own.push_back(AllocateTensor(dims, *ToScalarType(tensor.dtype)));
  }
}

absl::Status KvCache::Allocate(absl::Span<const int32_t> num_blocks) {
  if (num_blocks.size() != groups_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("blocks for ", num_blocks.size(),
                                                   " cache groups, there are ", groups_.size()));
  }
  ahead_.clear();
  for (Layer& layer : layers_) {
    layer.keys = layer.values = layer.key_scales = layer.value_scales = at::Tensor();
    layer.own.clear();
  }
  int64_t bytes = 0;
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].num_blocks = 0;
    if (num_blocks[g] < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("a cache of ", num_blocks[g], " blocks was asked for, expected >= 1"));
    }
    if (groups_[g].block_bytes == 0) continue;  // none of its layers is here
    KEEL_ASSIGN_OR_RETURN(const int64_t of_group,
                          CheckedBytes({num_blocks[g], groups_[g].block_bytes}));
    bytes += of_group;
  }
  absl::Status status = CatchAten([&]() -> absl::Status {
    for (Layer& layer : layers_) AllocateLayer(layer, num_blocks[layer.group]);
    return absl::OkStatus();
  });
  if (!status.ok()) return Annotate(status, absl::StrCat("KV cache of ", bytes, " bytes"));
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].num_blocks = num_blocks[g];
    std::vector<PagesAhead::Region> regions;
    for (const Layer& layer : layers_) {
      if (layer.group != g) continue;
      for (const at::Tensor& tensor : TensorsOf(layer)) {
        const auto bytes = static_cast<int64_t>(tensor.nbytes());
        if (bytes < kHugePage) continue;
        regions.push_back({static_cast<char*>(tensor.mutable_data_ptr()), bytes / num_blocks[g]});
      }
    }
    ahead_.push_back(regions.empty() ? nullptr
                                     : std::make_unique<PagesAhead>(regions, num_blocks[g]));
  }
  return absl::OkStatus();
}

void KvCache::Use(size_t group, int32_t block) {
  if (ahead_[group] != nullptr) ahead_[group]->Use(block);
}

std::vector<at::Tensor> KvCache::TensorsOf(const Layer& layer) {
  std::vector<at::Tensor> tensors = layer.own;
  for (const at::Tensor& tensor : {layer.keys, layer.key_scales}) {
    if (tensor.defined()) tensors.push_back(tensor);
  }
  if (layer.spec.values_in_keys) return tensors;
  for (const at::Tensor& tensor : {layer.values, layer.value_scales}) {
    if (tensor.defined()) tensors.push_back(tensor);
  }
  return tensors;
}

absl::Status KvCache::CopyBlock(int32_t group, int32_t from, int32_t to) {
  if (group < 0 || static_cast<size_t>(group) >= groups_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cache group ", group, ", but there are ", groups_.size()));
  }
  const int32_t num_blocks = groups_[group].num_blocks;
  if (from < 0 || to < 0 || from >= num_blocks || to >= num_blocks) {
    return absl::InvalidArgumentError(absl::StrCat("copy of cache block ", from, " to ", to,
                                                   ", but there are ", num_blocks, " blocks"));
  }
  if (from == to) return absl::OkStatus();
  for (const Layer& layer : layers_) {
    if (layer.group != static_cast<size_t>(group)) continue;
    for (const at::Tensor& tensor : TensorsOf(layer)) {
      const size_t bytes = static_cast<size_t>(tensor.nbytes() / num_blocks);
      char* data = static_cast<char*>(tensor.data_ptr());
      std::memcpy(data + bytes * to, data + bytes * from, bytes);
    }
  }
  return absl::OkStatus();
}

void KvCache::SetIn(int32_t layer, KvRows& rows) const {
  const Layer& l = layers_[index_of_layer_.at(layer)];
  rows.stored = type_;
  rows.k_cache = l.keys.mutable_data_ptr();
  rows.v_cache = l.values.mutable_data_ptr();
  if (HasScales(type_)) {
    rows.k_scales = l.key_scales.mutable_data_ptr<float>();
    rows.v_scales = l.value_scales.mutable_data_ptr<float>();
  }
  rows.heads = l.spec.kv_heads, rows.k_dim = l.spec.qk_dim, rows.v_dim = l.spec.v_dim;
  rows.block_size = block_size_;
}

void KvCache::Write(int32_t layer, const at::Tensor& k, const at::Tensor& v,
                    const at::Tensor& slots) {
  KvRows rows;
  SetIn(layer, rows);
  const bool takes_values = !layers_[index_of_layer_.at(layer)].spec.values_in_keys;
  const auto check = [&](const at::Tensor& x, int64_t size) {
    TORCH_CHECK(x.dim() == 3 && x.size(1) == rows.heads && x.size(2) == size, "keys or values are ",
                x.sizes(), ", the cache has ", rows.heads, " heads of size ", size);
    TORCH_CHECK(x.size(0) == slots.size(0), x.size(0), " keys for ", slots.size(0), " tokens");
    TORCH_CHECK(KernelTypeOf(x.scalar_type()).has_value(), "keys or values are ", x.scalar_type());
    return x.stride(2) == 1 ? x : x.contiguous();
  };
  const at::Tensor keys = check(k, rows.k_dim);
  at::Tensor values;
  rows.type = *KernelTypeOf(keys.scalar_type());
  rows.rows = keys.size(0);
  rows.k = keys.const_data_ptr();
  rows.k_row_stride = keys.stride(0), rows.k_head_stride = keys.stride(1);
  if (takes_values) {
    values = check(v, rows.v_dim);
    TORCH_CHECK(values.scalar_type() == keys.scalar_type(), "keys are ", keys.scalar_type(),
                ", values ", values.scalar_type());
    rows.v = values.const_data_ptr();
    rows.v_row_stride = values.stride(0), rows.v_head_stride = values.stride(1);
  }
  rows.slots = slots.const_data_ptr<int64_t>();
  RunWriteKv(rows);
}

}  // namespace keel

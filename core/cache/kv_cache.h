// The keys and values of a model's layers, in blocks that the scheduler hands to sequences, and the
// recurrent states, in slots.
#ifndef KEEL_CORE_CACHE_KV_CACHE_H_
#define KEEL_CORE_CACHE_KV_CACHE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/cache/pages_ahead.h"
#include "core/kernels/kv_type.h"
#include "core/kernels/row_ops.h"
#include "core/tensor/dtype.h"

namespace keel {

// A tensor of a block that an attention implementation fills itself.
struct BlockTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;  // of one block

  bool operator==(const BlockTensor&) const = default;
};

// What one layer keeps for each token. A layer that shares another's keys and values has no spec.
struct KvLayerSpec {
  int32_t layer = 0;
  int64_t kv_heads = 0;
  int64_t qk_dim = 0;
  int64_t v_dim = 0;
  int64_t window = 0;                 // a token sees so many keys, its own included; 0: all
  int64_t chunk = 0;                  // a token sees the keys of its chunk only; 0: all
  bool has_rows = true;               // of keys and values, as below
  std::vector<BlockTensor> own = {};  // instead of rows, or beside them
  bool values_in_keys = false;        // values are the first v_dim elements of keys, kept once
  // False: another stage of the model keeps it. Its group exists, so that groups have the same
  // numbers everywhere.
  bool here = true;
};

// Layers that see alike (window, chunk) form a group, with blocks of its own: a block holds
// `block_size` tokens of each of its layers, which may differ in geometry. Not thread-safe between
// allocation and use.
class KvCache {
 public:
  // Rows are of `dtype`; of kF8E4M3FN and kI8 each row of a head has a scale (core/kernels/kv_type.h).
  // kInvalidArgument if two specs name one layer, or sizes are < 1 or more than any machine holds.
  static absl::StatusOr<KvCache> Create(std::vector<KvLayerSpec> specs, int32_t block_size,
                                        DType dtype);

  struct Group {
    int64_t window = 0, chunk = 0;
    int64_t block_bytes = 0;  // over its layers that are here, keys and values
    int32_t num_blocks = 0;   // 0 before Allocate
  };
  absl::Span<const Group> groups() const { return groups_; }
  int32_t block_size() const { return block_size_; }
  KvType type() const { return type_; }
  bool Contains(int32_t layer) const { return index_of_layer_.contains(layer); }

  // One number for each group. Contents are undefined, and memory is not taken before it is nearly used.
  absl::Status Allocate(absl::Span<const int32_t> num_blocks);
  // Blocks up to this one are about to be written: takes memory for those behind them, in the background.
  void Use(size_t group, int32_t block);
  absl::Status CopyBlock(int32_t group, int32_t from, int32_t to);

  // [blocks, kv_heads, block_size, qk_dim] and [.., v_dim]; with values_in_keys a view into the keys.
  // Undefined before Allocate, and of a layer without rows.
  const at::Tensor& keys(int32_t layer) const { return layers_[index_of_layer_.at(layer)].keys; }
  const at::Tensor& values(int32_t layer) const {
    return layers_[index_of_layer_.at(layer)].values;
  }
  // What the rows are multiplied by, [blocks, kv_heads, block_size] of f32; undefined: by nothing.
  const at::Tensor& key_scales(int32_t layer) const {
    return layers_[index_of_layer_.at(layer)].key_scales;
  }
  const at::Tensor& value_scales(int32_t layer) const {
    return layers_[index_of_layer_.at(layer)].value_scales;
  }
  // In order of its spec, [blocks, dims...].
  absl::Span<const at::Tensor> own(int32_t layer) const {
    return layers_[index_of_layer_.at(layer)].own;
  }
  size_t group(int32_t layer) const { return layers_[index_of_layer_.at(layer)].group; }

  // What `rows` need to know to be written into a layer that has rows: all but where they come from.
  void SetIn(int32_t layer, KvRows& rows) const;
  // Writes token i's keys and values into slot `slots[i]` (block * block_size + offset), i64 [N]. `k` is [N, kv_heads,
  // qk_dim], `v` [N, kv_heads, v_dim], which values in keys don't need. Throws c10::Error.
  void Write(int32_t layer, const at::Tensor& k, const at::Tensor& v, const at::Tensor& slots);

 private:
  struct Layer {
    KvLayerSpec spec;
    size_t group = 0;
    at::Tensor keys, values, key_scales, value_scales;
    std::vector<at::Tensor> own;
  };

  KvCache() = default;
  void AllocateLayer(Layer& layer, int64_t num_blocks) const;  // throws c10::Error
  static std::vector<at::Tensor> TensorsOf(const Layer& layer);

  int32_t block_size_ = 0;
  DType dtype_ = DType::kF32;
  KvType type_ = KvType::kF32;
  std::vector<Layer> layers_;
  std::vector<Group> groups_;
  absl::flat_hash_map<int32_t, size_t> index_of_layer_;
  std::vector<std::unique_ptr<PagesAhead>>
      ahead_;  // of the groups; null: all is small. After layers_, which it uses
};

}  // namespace keel

#endif  // KEEL_CORE_CACHE_KV_CACHE_H_

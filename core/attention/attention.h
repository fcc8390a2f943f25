// What every attention implementation is: host ones (eager, sdpa, paged) and a plugin's.
//
// Keys and values lie in cache blocks, [block, kv_head, slot, D] (KEEL_KV_ROWS), and the step's own
// are written before an implementation runs; a plugin's may keep tensors of its own in the blocks,
// instead of them or besides. Encoders have no cache: their keys come with the call.
#ifndef KEEL_CORE_ATTENTION_ATTENTION_H_
#define KEEL_CORE_ATTENTION_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/cache/kv_cache.h"
#include "core/tensor/dtype.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Where the sequences of one step lie, the same for all layers. S sequences, N query tokens.
struct AttentionMetadata {
  at::Tensor block_table;  // [S, max_blocks] i32; 0 past a sequence's blocks
  at::Tensor seq_lens;     // [S] i32: keys, this step's included
  at::Tensor cu_q;         // [S + 1] i32
  at::Tensor slots;        // [N] i64: block * block_size + offset of each token
  at::Tensor positions;    // [N] i64: of each token in its sequence
  int64_t max_q = 0, max_kv = 0;

  int64_t num_sequences() const { return seq_lens.size(0); }
};

// A named argument of the model: a tensor or a number.
struct NamedArg {
  std::string name;
  at::Tensor tensor;
  double number = 0;
};

// Null if there is none of that name.
const NamedArg* FindArg(absl::Span<const NamedArg> args, absl::string_view name);

struct AttentionCall {
  const keel_attention_desc* desc = nullptr;  // scale is never 0
  at::Tensor q;                               // [N, heads, qk_dim]
  at::Tensor k, v;                // this step's; undefined for a layer that shares another's
  at::Tensor k_cache, v_cache;    // undefined for encoders, and where no rows are kept
  at::Tensor k_scales, v_scales;  // of its rows; undefined: they have none
  absl::Span<const at::Tensor> own_caches;      // [blocks, ...], as AttentionCache::own says
  const AttentionMetadata* metadata = nullptr;  // null for encoders
  // An encoder's in forward: [S + 1], where each sequence of the step begins. Each sees itself only.
  absl::Span<const int32_t> sequences;
  absl::Span<const NamedArg> args;
  at::Tensor plan;  // of this step, as the instance made it; undefined: none
  at::Tensor out;   // [N, heads, v_dim], contiguous, written by Run

  const NamedArg* Find(absl::string_view name) const { return FindArg(args, name); }
};

// One attention of a model, before anything runs.
struct AttentionUse {
  const keel_attention_desc* desc = nullptr;
  DType dtype = DType::kF32;
  int64_t block_size = 0;
  std::vector<std::string> args = {};    // names
  std::vector<uint32_t> arg_flags = {};  // KEEL_ARG_* of the first of them; the others have none
  // Whose it is: "text", or the modality of the encoder that has it: "image", "video", "audio".
  std::string part = "text";
  std::optional<DType> kv_dtype = {};  // of the cache's rows; unset: dtype

  bool Has(absl::string_view name) const;
  // Whether an implementation may leave argument `i` out.
  bool MayOmit(size_t i) const {
    return i < arg_flags.size() && (arg_flags[i] & KEEL_ARG_OPTIONAL) != 0;
  }
};

// What an attention keeps of each token, in cache blocks.
struct AttentionCache {
  bool has_rows = true;  // the host's keys and values
  std::vector<BlockTensor> own = {};

  bool operator==(const AttentionCache&) const = default;
};

// One attention of one rank, ready to run. One call at a time. Throws no exception.
class AttentionInstance {
 public:
  virtual ~AttentionInstance() = default;

  virtual AttentionCache cache() const { return {}; }
  // Puts the step's keys and values into the own caches; called only where there are some.
  virtual absl::Status Write(const AttentionCall& /*call*/) { return absl::OkStatus(); }
  // What Run of every instance alike is given in this step: it follows from the desc, but for the
  // layer, and the metadata alone. Undefined: none.
  virtual absl::StatusOr<at::Tensor> Plan(const AttentionCall& /*call*/) { return at::Tensor(); }
  virtual absl::Status Run(const AttentionCall& call) = 0;
};

// Thread-safe; outlives its instances.
class AttentionImplementation {
 public:
  virtual ~AttentionImplementation() = default;
  // OK, or kUnimplemented with what it lacks ("sdpa: no softcap").
  virtual absl::Status Supports(const AttentionUse& use) const = 0;
  // Of a use that it supports.
  virtual absl::StatusOr<std::unique_ptr<AttentionInstance>> Prepare(
      const AttentionUse& use) const = 0;
  // Whether a query's result has the same bits whatever other queries are in the step.
  virtual bool is_invariant() const { return false; }
};

// The host's own: nothing is kept but rows, and nothing between calls.
class HostAttention : public AttentionImplementation {
 public:
  absl::StatusOr<std::unique_ptr<AttentionInstance>> Prepare(const AttentionUse& use) const final;
  // Throws no exception.
  virtual absl::Status Run(const AttentionCall& call) const = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_ATTENTION_H_

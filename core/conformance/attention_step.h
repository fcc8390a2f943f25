// An attention class of a plugin's, driven as the host does it: a cache, a step, what should come of
// it. Beside it the plainest attention there is, in fp64.
#ifndef KEEL_CORE_CONFORMANCE_ATTENTION_STEP_H_
#define KEEL_CORE_CONFORMANCE_ATTENTION_STEP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/plugin_call.h"
#include "core/conformance/test_tensor.h"
#include "sdk/abi/plugin.h"

namespace keel::conformance {

// One attention of a model and the cache that it has.
struct AttentionLayer {
  int64_t heads = 4, kv_heads = 2, qk_dim = 16, v_dim = 16;
  int64_t window = 0, chunk = 0;
  double softcap = 0;
  bool alibi = false, sinks = false;
  bool latent = false;  // the values are the first v_dim elements of the one key
  uint32_t dtype = KEEL_F32;
  int64_t block_size = 16;
};
// "4 heads of 2, keys 16, values 16, window 7, bf16, blocks of 16".
std::string ToString(const AttentionLayer& layer);

// Of a step: how many keys it has with this step's, and how many queries.
struct AttentionSequence {
  int64_t keys, queries;
};

// The numbers of a step: the same for a layer, sequences and a seed.
struct AttentionData {
  AttentionData(const AttentionLayer& layer, std::vector<AttentionSequence> sequences,
                uint64_t seed);
  // Those of sequence `s` alone.
  AttentionData Only(size_t s) const;

  AttentionLayer layer;
  std::vector<AttentionSequence> sequences;
  std::vector<TestTensor> queries;       // each [queries, heads, qk_dim]
  std::vector<TestTensor> keys, values;  // each [keys, kv_heads, D]
  TestTensor slopes, sinks;              // [heads]

 private:
  AttentionData() = default;
};

// softmax(q k^T scale) v over the keys that each query sees, [queries of all, heads, v_dim], fp64.
TestTensor PlainAttention(const AttentionData& data);

// How a step is laid out and run.
struct AttentionRun {
  // Blocks in no order, and where no key is that the step may see: NaN. Else in order, zeros.
  bool scrambled = false;
  Placement placement = {};
  int pieces = 1;  // of parallel_for
};

// One class, asked and run.
struct AttentionSubject {
  const keel_attention_class* attention = nullptr;
  void* plugin = nullptr;
  PluginCall call = {};
};

// OK, or what prepare says to this layer.
absl::Status Ask(const AttentionSubject& subject, const AttentionLayer& layer);

struct AttentionResult {
  TestTensor out;           // [queries of all, heads, v_dim]
  bool keeps_rows = true;   // the host's rows alone
  std::string broken = "";  // what it wrote that it must not; "": nothing
};
// What came before the step is kept in one step of its own.
absl::StatusOr<AttentionResult> RunAttention(const AttentionSubject& subject,
                                             const AttentionData& data, const AttentionRun& how);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_ATTENTION_STEP_H_

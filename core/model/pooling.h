// Models that answer with vectors: whether one is served so, and how its hidden states become a vector.
#ifndef KEEL_CORE_MODEL_POOLING_H_
#define KEEL_CORE_MODEL_POOLING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "core/model/options.h"

namespace keel {

// What vectors are for.
enum class PoolingTask {
  kEmbed,     // to be compared: texts that mean the same lie close to each other
  kClassify,  // a number for each label
};
// "embed", "classify": as requests and programs name them.
const char* PoolingTaskName(PoolingTask task);

// What is done to the numbers at the end.
enum class VectorActivation { kNone, kNormalize, kSoftmax, kSigmoid };
const char* VectorActivationName(VectorActivation activation);

struct Pooling {
  PoolingTask task = PoolingTask::kEmbed;
  PoolingType type = PoolingType::kLast;
  VectorActivation activation = VectorActivation::kNone;
  bool uses_head = false;  // the graph's function "pool"
  // Each text is computed in one step: its tokens see those that follow, or all of them are pooled.
  bool is_whole = false;
  bool reads_token_types = false;  // a second text is told from the first
  // Of a classifier that takes the last token that is none of these, as transformers' causal ones do.
  std::optional<int32_t> padding_token = {};
  int64_t size = 0;  // of a vector
  // Sizes that a vector may be cut to, because the model was trained for it; any, where it says so.
  bool is_matryoshka = false;
  std::vector<int64_t> matryoshka_sizes = {};
  int64_t max_tokens = 0;  // of a text, as sentence_bert_config.json says; 0: not said
  std::vector<std::string> labels = {};  // of kClassify, one a number
};

// How `graph` is served, recorded for `checkpoint`: nothing if it generates text. `auto` reads
// sentence-transformers' modules.json, then goes by what the graph has. UNIMPLEMENTED names a module or
// a mode of pooling that is not served; INVALID_ARGUMENT the flag that contradicts the model.
absl::StatusOr<std::optional<Pooling>> PoolingOf(const PoolingOptions& options,
                                                 const Checkpoint& checkpoint,
                                                 const proto::Graph& graph);

}  // namespace keel
#endif  // KEEL_CORE_MODEL_POOLING_H_

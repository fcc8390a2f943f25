// A model that is ready to run: from the name that a user gave to weights in an executor.
#ifndef KEEL_CORE_MODEL_MODEL_H_
#define KEEL_CORE_MODEL_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/cache/block_allocator.h"
#include "core/chat/parsers/parsers.h"
#include "core/checkpoint/checkpoint.h"
#include "core/exec/executor.h"
#include "core/graph/graph.pb.h"
#include "core/graph/rope_length.h"
#include "core/graph/weight_counts.h"
#include "core/model/options.h"
#include "core/model/pooling.h"
#include "core/model/text_probe.h"
#include "core/processor/processor.h"
#include "core/weights/quantization.h"

namespace keel {

struct Model {
  std::string name;  // as the user said it
  std::string dir;
  std::string architecture;
  std::string impl;              // "native": what --model-impl auto came to
  std::string impl_source;       // "in-tree"
  std::string impl_reason;       // "auto: in-tree serves LlamaForCausalLM by libllama.so; ..."
  std::string plugin;            // "org.keel.llama 0.1.0 (libllama.so, in-tree)"
  std::string attention;         // the implementations, "paged"; "" without attention
  std::string attention_reason;  // "--attention-implementation"
  DType dtype = DType::kF32;     // of weights and activations
  DType kv_dtype = DType::kF32;  // of keys and values in the cache
  int64_t vocab_size = 0;
  int64_t max_model_len = 0;
  int64_t max_step_tokens = 0;     // that a step of its engine computes
  BlockAllocator::Options blocks;  // of its cache, as the executor has it
  int64_t kv_cache_bytes = 0;
  Quantization quantization = Quantization::kNone;
  WeightCounts weights;
  int64_t packed_bytes = 0;  // of its linears; 0: they are used as they are
  bool packed_from_cache = false;
  PromptRope prompt_rope;
  std::optional<Pooling> pooling;  // set: it answers with vectors and generates nothing
  std::vector<int32_t> eos_token_ids;
  GenerationConfig generation;        // defaults of requests
  std::vector<std::string> warnings;  // what a user should know

  std::shared_ptr<const Checkpoint> checkpoint;
  Text text;
  ParserNames parsers;  // of what it writes
  // Of media, if a plugin brings the checkpoint's; null: text alone.
  std::shared_ptr<const Processor> processor;
  std::set<std::string> encoders;  // modalities that the graph encodes: "image"
  bool takes_groups = false;       // its attention lets tokens of an item see each other
  // The plugin and its model, where they are still needed: longer than the executor, which runs them.
  std::shared_ptr<void> keep_alive;
  std::unique_ptr<Executor> executor;
};

// Slow; one thread. Errors say which flag or which file, else they begin with the model's name.
absl::StatusOr<Model> LoadModel(const EngineOptions& options);

// The graph that LoadModel would run, recorded (or read) as the options say, with its provenance: what
// a graph file holds. Reads no weight.
absl::StatusOr<proto::Graph> RecordGraphOf(const ModelOptions& options);

// Bytes that its weights will take in the type it runs in, quantized or not. Reads what is quick to read and refuses
// what LoadModel would: files that are missing or don't parse, an architecture that no plugin
// serves.
absl::StatusOr<int64_t> WeightBytesOf(const ModelOptions& options, Quantization quantization);

}  // namespace keel
#endif  // KEEL_CORE_MODEL_MODEL_H_

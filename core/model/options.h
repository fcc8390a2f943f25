// What an engine is made with, in typed parts: each goes to the part of the engine that it is for,
// none takes them all. One table of flags sets them from text; --help lists it.
#ifndef KEEL_CORE_MODEL_OPTIONS_H_
#define KEEL_CORE_MODEL_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/chat/chat_input.h"
#include "core/chat/parsers/parsers.h"
#include "core/exec/options.h"
#include "core/plugin/catalog.h"
#include "core/plugin/trust.h"
#include "core/scheduler/scheduler.h"
#include "core/tensor/dtype.h"

namespace keel {

// Which model, and whose code makes it.
struct ModelOptions {
  std::string name;         // a directory or a Hugging Face id
  std::string served_name;  // what clients call it; "": the directory's own name, or the id
  // What a relative `name`, plugin path, graph directory, chat template or trace file is relative to;
  // "": the working directory.
  std::string base_dir;
  std::optional<DType> dtype;  // of weights and activations; unset: the checkpoint's
  std::vector<std::string> plugin_paths;
  std::string graph_dir;  // "": none
  ModelImpl impl = ModelImpl::kAuto;
  // Where packed weights are kept for the next start; unset: WeightCache::DefaultDir(), "": nowhere.
  std::optional<std::string> weight_cache;
  RemoteCodePolicy remote_code;
  std::string chat_template;  // a file, or the template itself; "": the checkpoint's
  // What chat templates are given as a message's content; unset: what each reads.
  std::optional<ContentFormat> content_format;
  // Of what the model writes; "auto": what its chat template shows, "none".
  ParserNames parsers = {"auto", "auto"};
  // What is being loaded and how far it is; total 0: unknown. Any thread; may be empty.
  std::function<void(absl::string_view stage, int64_t done, int64_t total)> on_progress;

  // `chat_template` as LoadText takes it: a file by a path that base_dir no longer matters for.
  std::string FindChatTemplate() const;
};

// How much memory keeps keys, values and states, and how it is cut.
struct CacheOptions {
  int64_t max_model_len = 0;   // tokens of a sequence; 0: the config's
  int64_t memory_bytes = 0;    // 0: memory_share
  double memory_share = 0.25;  // of what is free once the weights are there
  // What counts as free then, where other models have a claim to the rest; 0: all that is.
  int64_t available_memory = 0;
  int32_t block_size = 16;  // tokens
  bool enable_prefix_caching = true;
};

// What the model does: text, or vectors; auto: what it was made for.
enum class Runner { kAuto, kGenerate, kPooling };
// How it comes to give vectors: auto (its own head, else its hidden states as embeddings), its own head
// or none, its hidden states whatever it was made for, or its own head for labels or none.
enum class Convert { kAuto, kNone, kEmbed, kClassify };
// Whose hidden states make a text's vector: the first token's, the last one's, all tokens'.
enum class PoolingType { kCls, kLast, kMean };
// "CLS", "LAST", "MEAN".
inline constexpr const char* kPoolingTypeNames[] = {"CLS", "LAST", "MEAN"};
inline const char* PoolingTypeName(PoolingType type) {
  return kPoolingTypeNames[static_cast<int>(type)];
}

struct PoolingOptions {
  Runner runner = Runner::kAuto;
  Convert convert = Convert::kAuto;
  std::optional<PoolingType> type;  // unset: the model's
  bool use_activation = true;       // false: vectors as they come, unless a request asks
};

// Media of requests: where they may be, and how much of them.
struct MediaOptions {
  static constexpr int64_t kUsualLimit = 999;  // items of a modality, as vLLM has it

  std::string allowed_local_path;            // files below it may be read; "": none
  std::vector<std::string> allowed_domains;  // hosts that may be asked, whole names; none: nobody
  std::map<std::string, int64_t> limits;     // items of a request, by modality; absent: kUsualLimit
  int64_t max_bytes = 64 << 20;              // of a file
  int64_t max_pixels = 178956970;            // of all of a request's; twice what Pillow warns above
  int32_t video_frames = 32;                 // taken of a clip, evenly spread; all of a shorter one
  double video_fps = 0;                      // above 0: that many a second instead
  int32_t decoding_processes = 2;
};

enum class SpeculationMethod { kNone, kNgram };

struct SpeculationOptions {
  SpeculationMethod method = SpeculationMethod::kNone;
  int32_t max_drafts = 5;  // tokens that a step verifies for each sequence
  int32_t max_ngram = 4, min_ngram = 2;

  // Drafts at most that a step verifies for each sequence; 0: none are made.
  int32_t num_drafts() const { return method == SpeculationMethod::kNone ? 0 : max_drafts; }
};

struct EngineOptions {
  ModelOptions model;
  // mode, attention, parallelism, deterministic, quantization; LoadModel says the rest
  ExecutorOptions executor;
  PoolingOptions pooling;
  CacheOptions cache;
  SchedulerOptions scheduler = {.max_decode_slowdown = 1.75};
  SpeculationOptions speculation;
  MediaOptions media;
  int32_t threads = 0;       // that compute a step; 0: DefaultThreads (core/kernels/parallel.h)
  bool pin_threads = false;  // each but the engine's own to a processor
  int64_t media_cache_bytes = int64_t{4} << 30;  // of features of media that were encoded
  int64_t max_encoder_tokens = 256;              // that one call makes of several media
  int64_t max_queued_requests = 1024;            // in sequences
  std::string trace;                             // the file; "": none
};

struct EngineFlag {
  const char* name;  // without dashes
  const char* group;
  const char* value_name;     // "" for a switch
  const char* default_value;  // as text
  const char* help;
  absl::Status (*set)(EngineOptions& options, absl::string_view value);
};

// In the order of help.
absl::Span<const EngineFlag> EngineFlags();

// Sets one flag; a refused value changes nothing. INVALID_ARGUMENT: an unknown name (the nearest is
// suggested), or a value that does not parse.
absl::Status SetEngineFlag(EngineOptions& options, absl::string_view name, absl::string_view value);

}  // namespace keel
#endif  // KEEL_CORE_MODEL_OPTIONS_H_

// The engine's flags: one table that parsing, --help and docs/flags.md are made from.
#ifndef KEEL_CORE_ENGINE_OPTIONS_H_
#define KEEL_CORE_ENGINE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

struct EngineOptions {
  std::string model;
  // What a relative `model`, plugin path or `trace` is relative to; "": the working directory.
  std::string base_dir;
  std::string dtype = "auto";
  int64_t max_model_len = 0;  // 0: the config's
  std::vector<std::string> plugin_paths;
  std::string model_impl = "auto";
  std::string attention_implementation;
  std::string exec = "graph";
  std::string trust_remote_code = "false";
  bool deterministic = false;
  int64_t tensor_parallel_size = 1;
  int64_t kv_cache_memory_bytes = 0;    // 0: kv_cache_memory_share
  double kv_cache_memory_share = 0.25;  // of what is free once the weights are there
  // What counts as free once the weights are there, where other models have a claim to the rest; 0: all that is.
  int64_t available_memory = 0;
  int64_t block_size = 16;
  bool enable_prefix_caching = true;
  int64_t max_num_seqs = 64;
  int64_t max_num_batched_tokens = 2048;
  int64_t max_prefill_beside_decodes = 64;
  int64_t max_queued_requests = 1024;
  std::string spec_method = "none";
  int64_t num_speculative_tokens = 5;
  int64_t prompt_lookup_max = 4;
  int64_t prompt_lookup_min = 2;
  std::string trace;  // the file; "": none

  // Guesses at most that a step verifies for each sequence; 0: none are made.
  int64_t spec_tokens() const { return spec_method == "none" ? 0 : num_speculative_tokens; }

  // What is being loaded and how far it is; total 0: unknown. Any thread; may be empty.
  std::function<void(absl::string_view stage, int64_t done, int64_t total)> on_progress;
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

// Sets one flag. INVALID_ARGUMENT: an unknown name (the nearest is suggested), or a value that does not parse.
absl::Status SetEngineFlag(EngineOptions& options, absl::string_view name, absl::string_view value);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_OPTIONS_H_

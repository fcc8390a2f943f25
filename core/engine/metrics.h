// What the engine counts and times, in Prometheus' text form: under vLLM's names, labels and
// buckets where vLLM has the thing, under "keel:" where it has not. docs/observability.md lists
// them all.
#ifndef KEEL_CORE_ENGINE_METRICS_H_
#define KEEL_CORE_ENGINE_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace keel {

// What does not change while the engine runs.
struct MetricsConfig {
  int64_t max_model_len = 32768;   // buckets of token counts reach up to it
  int num_speculative_tokens = 0;  // 0: no metric of speculative decoding

  // Labels of vllm:cache_config_info and keel:model_info, which are there if they have any.
  using Labels = std::vector<std::pair<std::string, std::string>>;
  Labels cache_info, model_info;
};

// One of the n sequences of a request, when it has ended. vLLM counts each as a request.
struct FinishedSequence {
  // absl::Time() where it never came so far.
  absl::Time arrival = {};      // of the request
  absl::Time scheduled = {};    // first admitted to a step
  absl::Time first_token = {};  // of this sequence
  absl::Time last_token = {};
  absl::Time finished = {};

  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, taken from the prefix cache
  int64_t generated_tokens = 0;
  int64_t max_tokens = 0;
  int64_t num_preemptions = 0;
};

// How full the engine is after a step.
struct EngineLoad {
  int64_t running = 0;        // sequences, as all of these
  int64_t waiting = 0;        // for room in a step or in the cache
  int64_t deferred = 0;       // for something else: paused
  double kv_cache_usage = 0;  // 0 to 1
};

// The parts of a step, in order.
enum class StepPart { kEncode, kSchedule, kPrepare, kForward, kMask, kSample, kOutput };
inline constexpr int kNumStepParts = 7;
inline constexpr std::array<const char*, kNumStepParts> kStepPartNames = {
    "encode", "schedule", "prepare", "forward", "mask", "sample", "output"};
using StepSeconds = std::array<double, kNumStepParts>;  // by StepPart

// Thread-safe. Members are the metrics themselves: an update is an atomic addition, that of a
// histogram a short lock; no label is looked up.
class Metrics {
 public:
  explicit Metrics(const std::string& model_name, const MetricsConfig& config = {});

  std::string Text() const;

  // One method an event; the members below are for what is one metric only.

  void SetLoad(const EngineLoad& load);
  // A step ran over `tokens` tokens.
  void StepRan(int64_t tokens, const StepSeconds& seconds);
  // Parts of one without tokens: others wait for media, which were encoded.
  void PartsRan(const StepSeconds& seconds);
  // A prompt was looked up in the prefix cache, at its first admission.
  void PromptLookedUp(int64_t prompt_tokens, int64_t cached_tokens);
  // The whole prompt is in the KV cache now.
  void PromptDone(int64_t prompt_tokens, int64_t cached_tokens);
  // A draft of `drafted` tokens was verified; its first `accepted` stay.
  void DraftVerified(int drafted, int accepted);
  // `reason`: "stop", "length", "abort", "error".
  void SequenceFinished(const FinishedSequence& sequence, absl::string_view reason);
  // After the last of its sequences; `max_generated_tokens` is the longest one's.
  void RequestFinished(int64_t n, int64_t max_generated_tokens);

  prometheus::Counter& request_success(absl::string_view reason);

 private:
  using Buckets = prometheus::Histogram::BucketBoundaries;
  using BucketList = std::initializer_list<double>;
  static constexpr BucketList kTimeToFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                   0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10,
                                                   20,    40,    80,   160,  640,  2560};
  static constexpr BucketList kTokenLatency = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                               0.3,  0.4,   0.5,  0.75,  1,   2.5,  5,
                                               7.5,  10,    20,   40,    80};
  static constexpr BucketList kRequestLatency = {
      0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
  static constexpr BucketList kStepTokens = {1,   8,    16,   32,   64,   128,  256,
                                             512, 1024, 2048, 4096, 8192, 16384};
  static constexpr BucketList kGrammar = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                          0.2,   0.5,   1,     2,    5,    10};

  const std::string model_name_;
  const MetricsConfig config_;
  const Buckets token_counts_;

 public:
  prometheus::Gauge num_requests_running, num_requests_waiting, waiting_for_capacity,
      waiting_deferred, kv_cache_usage_perc;

  prometheus::Counter num_preemptions, prompt_tokens, prompt_tokens_cached, prompt_tokens_computed,
      generation_tokens, prefix_cache_queries, prefix_cache_hits, mm_cache_queries, mm_cache_hits;
  prometheus::Counter rejected_queue_full;  // refused by --max-queued-requests
  prometheus::Counter corrupted_requests;   // logits that are no numbers
  prometheus::Counter spec_decode_num_drafts, spec_decode_num_draft_tokens,
      spec_decode_num_accepted_tokens;

  prometheus::Histogram time_to_first_token_seconds{kTimeToFirstToken},
      inter_token_latency_seconds{kTokenLatency},
      request_time_per_output_token_seconds{kTokenLatency},
      e2e_request_latency_seconds{kRequestLatency}, request_queue_time_seconds{kRequestLatency},
      request_inference_time_seconds{kRequestLatency},
      request_prefill_time_seconds{kRequestLatency}, request_decode_time_seconds{kRequestLatency};
  prometheus::Histogram request_prompt_tokens{token_counts_},
      request_generation_tokens{token_counts_}, request_max_num_generation_tokens{token_counts_},
      request_params_max_tokens{token_counts_}, request_prefill_kv_computed_tokens{token_counts_},
      request_params_n{Buckets{1, 2, 5, 10, 20}},
      request_num_preemptions{Buckets{1, 2, 3, 4, 5, 10, 20}}, iteration_tokens{kStepTokens};

  // Keel's own.
  prometheus::Counter reasoning_tokens, steps, encoder_calls, engine_loop_idle_seconds,
      output_seconds, prefix_cache_evictions;
  prometheus::Histogram grammar_compile_seconds{kGrammar};

 private:
  std::array<prometheus::Counter, 4> finished_;             // by kFinishedReasons
  std::array<prometheus::Counter, kNumStepParts> in_part_;  // seconds, by StepPart
  std::vector<prometheus::Counter> accepted_at_;            // by position in the draft
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_METRICS_H_

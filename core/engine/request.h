// What a client asks, and what it gets back in pieces.
#ifndef KEEL_CORE_ENGINE_REQUEST_H_
#define KEEL_CORE_ENGINE_REQUEST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "core/chat/parsers/parsers.h"
#include "core/engine/beam_search.h"
#include "core/engine/media_input.h"
#include "core/grammar/grammar_spec.h"
#include "core/sampling/sampler.h"
#include "core/sampling/sampling_params.h"

namespace keel {

// Messages and tools as JSON text, the form that chat templates take.
struct ChatPrompt {
  std::string messages;
  std::string tools;
  std::string documents;
  std::string template_kwargs;
  bool add_generation_prompt = true;
  bool continue_final_message = false;
};

// What is asked of a model that answers with vectors.
struct PoolingRequest {
  std::string task = {};                    // "embed" or "classify"
  std::optional<bool> use_activation = {};  // unset: as the model says
  std::optional<int64_t> dimensions = {};   // unset: all that there are
  // Of a text that is longer the end is left out; -1: as much as the model takes. Unset: it is refused.
  std::optional<int64_t> truncate_prompt_tokens = {};
};

struct Request {
  std::variant<std::monostate, std::string, std::vector<int32_t>, ChatPrompt>
      prompt;                              // text, ids or messages
  std::optional<bool> add_special_tokens;  // unset: yes for text, no for messages
  std::optional<std::string> text_pair;    // a second text that is read together with the prompt's
  // What the prompt's placeholders stand for: the n-th of a modality is the n-th placeholder of it.
  std::vector<MediaInput> media;
  std::string mm_processor_kwargs;        // a JSON object for the processor, or ""
  std::optional<PoolingRequest> pooling;  // set: a vector is wanted, and nothing is generated

  // Unset values come from generation_config.json, then from SamplingParams.
  struct Sampling {
    std::optional<double> temperature, top_p, min_p, typical_p, repetition_penalty;
    std::optional<int64_t> top_k;
    double presence_penalty = 0, frequency_penalty = 0;
    std::vector<std::pair<int32_t, double>> logit_bias;
    std::vector<int32_t> allowed_token_ids;
    std::vector<std::string> bad_words;
    int64_t min_tokens = 0;
    std::optional<int64_t> seed, logprobs, prompt_logprobs;
  } sampling;

  int64_t n = 1;
  std::optional<int64_t> best_of;      // that many are generated, the n likeliest given at the end
  std::optional<BeamOptions> beams;    // set: beam search, the n best are given at the end
  std::optional<GrammarSpec> grammar;  // set: what the text must be
  std::optional<int64_t> max_tokens;   // unset: the rest of the context
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
  bool skip_special_tokens = true;
  bool include_stop_str_in_output = false;
  bool stream = true;  // false: one output for each sequence, at its end
  // Tokens that it may be ahead of its reader, who says by Engine::Read what it took; then it pauses.
  // 0: it waits for nobody.
  int64_t max_unread_tokens = 0;
  // Set: the model's parsers take its text apart (Output::parts).
  struct Parsing {
    ToolUse tools = ToolUse::kAuto;  // of the tools of its ChatPrompt, if it has any
    std::string named = {};          // of ToolUse::kNamed
    bool parallel_calls = true;      // more than one, where a grammar makes them
  };
  std::optional<Parsing> parsing;
  // Of a request with `parsing`, where the model's reasoning can be told apart: after that many tokens of it
  // the marker that ends it comes. Unset: any number.
  std::optional<int64_t> thinking_token_budget;
  int32_t priority = 0;
  std::optional<int64_t> timeout_ms;  // from Submit on; then it ends with kAbort and what there is
  std::string cache_salt;
  std::string request_id;  // the client's, for logs
};

enum class FinishReason { kNone, kStop, kLength, kAbort, kError };

// What one sequence produced since its previous output.
struct Output {
  uint64_t request = 0;
  uint32_t index = 0;
  std::string text;               // of a request with `parsing` that of the answer alone
  std::vector<OutputPart> parts;  // of a request with `parsing`, all of them
  std::vector<int32_t> tokens;
  int64_t reasoning_tokens = 0;  // of a request with `parsing`: so many more are of the reasoning
  std::vector<SampledToken> logprobs;  // of tokens, when asked for
  double cumulative_logprob = 0;       // of all tokens, with logprobs, best_of or beam search
  std::vector<SampledToken> prompt_logprobs;  // first output only; entry i is of prompt token i + 1
  std::vector<float> vector;                  // last output only, of a request with `pooling`
  FinishReason finish_reason = FinishReason::kNone;
  std::string stop_reason;  // the stop string, or the stop token's id
  std::optional<int32_t>
      stop_token;       // set: it ended the sequence, and the request had asked for it
  absl::Status status;  // with kError, and DEADLINE_EXCEEDED with kAbort
  std::shared_ptr<const std::vector<int32_t>> prompt_tokens;
  int32_t cached_tokens = 0;
  bool is_last = false;  // of the whole request
};

// Called on the engine's output thread, in order; should return soon, others' outputs wait for it. May cancel, pause and
// resume requests.
using OutputCallback = std::function<void(Output)>;

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_REQUEST_H_

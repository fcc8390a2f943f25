// What happens to a request on its caller's thread, before the engine sees it: prompt to tokens,
// defaults, checks, its grammar. What is refused here never runs.
#ifndef KEEL_CORE_ENGINE_PREPARE_H_
#define KEEL_CORE_ENGINE_PREPARE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/engine/media_loader.h"
#include "core/engine/metrics.h"
#include "core/engine/prompt_lookup.h"
#include "core/engine/request.h"
#include "core/engine/running_request.h"
#include "core/grammar/grammar_compiler.h"
#include "core/model/model.h"
#include "core/processor/media_prompt.h"
#include "core/text/tokenizer.h"

namespace keel {

// Thread-safe.
class RequestPreparer {
 public:
  // `model` (its texts and numbers; it runs nothing), `metrics` and `media` must outlive it. `drafts`
  // with num_tokens 0: none. `media` null: those that come decoded alone.
  RequestPreparer(const Model& model, const PromptLookupOptions& drafts, Metrics& metrics,
                  const MediaLoader* media = nullptr);

  // INVALID_ARGUMENT: a parameter, a grammar, a prompt that is too long, with both numbers;
  // constraints that leave no first token; a vector of a model that generates text, and text of one
  // that gives vectors. RESOURCE_EXHAUSTED: a grammar beyond its limits.
  // UNIMPLEMENTED: by name.
  absl::StatusOr<std::unique_ptr<RunningRequest>> Prepare(Request request,
                                                          OutputCallback callback) const;

  // The prompt's token ids, as Prepare makes them.
  absl::StatusOr<std::vector<int32_t>> PromptTokens(const Request& request) const;

 private:
  absl::StatusOr<std::vector<int32_t>> TextTokens(const Request& request) const;
  // prepare_media.cc: the media, decoded, and the prompt with them, expanded.
  absl::StatusOr<MediaItems> LoadMedia(absl::Span<const MediaInput> media) const;
  absl::StatusOr<MediaPrompt> ReadPrompt(const Request& request, const MediaItems& media) const;
  absl::Status CheckTokens(absl::Span<const keel_media_count> counts) const;
  absl::Status CheckGroups(absl::Span<const TokenRange> groups) const;
  // What encoders take of the request's media; null: it has none. Decoded media become pixels here.
  absl::StatusOr<std::shared_ptr<const RequestMedia>> Preprocess(const Request& request,
                                                                 const MediaItems& items,
                                                                 MediaPrompt& prompt) const;

  // prepare_pooling.cc: of a model that answers with vectors.
  absl::StatusOr<std::unique_ptr<RunningRequest>> PreparePooling(const Request& request,
                                                                 OutputCallback callback) const;
  absl::StatusOr<Tokenizer::Pair> PoolingPrompt(const Request& request) const;

  // Prompts whose keys are not the same share none.
  std::string CacheSalt(const Request& request, int64_t prompt_tokens) const;
  absl::StatusOr<std::unique_ptr<GrammarMatcher>> CompileGrammar(const GrammarSpec& spec) const;
  absl::StatusOr<std::unique_ptr<RunningSequence>> MakeSequence(RunningRequest& running,
                                                                OutputCallback callback) const;
  std::unique_ptr<Decoding> MakeDecoding(RunningRequest& running) const;

  const Model& model_;
  const PromptLookupOptions drafts_;
  Metrics& metrics_;
  const MediaLoader* const media_;
  const std::shared_ptr<GrammarCompiler> grammars_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_PREPARE_H_

// Requests for vectors.
#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/engine/pooling_decoding.h"
#include "core/engine/prepare.h"

namespace keel {
namespace {

template <typename... Words>
absl::Status Refuse(absl::string_view field, Words&&... words) {
  return WithField(absl::InvalidArgumentError(absl::StrCat(std::forward<Words>(words)...)), field);
}

absl::Status CheckTask(const Model& model, const Request& request) {
  if (!request.pooling.has_value()) {
    return Refuse("task", "model '", model.name, "' (", model.architecture,
                  ") answers with vectors and generates no text; ask for the task ",
                  PoolingTaskName(model.pooling->task));
  }
  const std::string& task = request.pooling->task;
  if (!model.pooling.has_value()) {
    return Refuse("task", "model '", model.name, "' (", model.architecture,
                  ") generates text and gives no vectors to ", task,
                  "; to get embeddings of it, serve it with --runner pooling");
  }
  if (task == PoolingTaskName(model.pooling->task)) return absl::OkStatus();
  return Refuse("task", "model '", model.name, "' (", model.architecture, ") can ",
                PoolingTaskName(model.pooling->task), ", not ", task,
                task == "embed" ? "; to get embeddings of it, serve it with --convert embed" : "");
}

absl::Status CheckDimensions(const Model& model, const PoolingRequest& request) {
  if (!request.dimensions.has_value()) return absl::OkStatus();
  const Pooling& pooling = *model.pooling;
  const int64_t dimensions = *request.dimensions;
  if (!pooling.is_matryoshka || pooling.task != PoolingTask::kEmbed) {
    return Refuse("dimensions", "dimensions is ", dimensions, ", but model '", model.name,
                  "' was not made for vectors that are cut (is_matryoshka and "
                  "matryoshka_dimensions of config.json say if it was); leave it out");
  }
  const std::vector<int64_t>& sizes = pooling.matryoshka_sizes;
  const bool is_listed = std::find(sizes.begin(), sizes.end(), dimensions) != sizes.end();
  if (dimensions >= 1 && dimensions <= pooling.size && (sizes.empty() || is_listed))
    return absl::OkStatus();
  return Refuse("dimensions", "dimensions is ", dimensions, ", expected ",
                sizes.empty() ? absl::StrCat("1 to ", pooling.size)
                              : absl::StrCat("one of ", absl::StrJoin(sizes, ", ")));
}

// Leaves the end of the text out, if `ids` are more than the request wants; what the tokenizer adds
// behind a text (a separator) stays behind it.
absl::Status Truncate(const Model& model, const Request& request, std::vector<int32_t>& ids) {
  if (!request.pooling->truncate_prompt_tokens.has_value()) return absl::OkStatus();
  const int64_t asked = *request.pooling->truncate_prompt_tokens;
  if (asked == 0 || asked > model.max_model_len) {
    return Refuse("truncate_prompt_tokens", "truncate_prompt_tokens is ", asked, ", expected 1 to ",
                  model.max_model_len, " (max_model_len), or -1 for that");
  }
  const int64_t fits = model.pooling->is_whole
                           ? std::min(model.max_model_len, model.max_step_tokens)
                           : model.max_model_len;
  const auto most = static_cast<size_t>(asked < 0 ? fits : asked);
  if (ids.size() <= most) return absl::OkStatus();
  size_t behind = 0;
  if (std::holds_alternative<std::string>(request.prompt) &&
      request.add_special_tokens.value_or(true)) {
    KEEL_ASSIGN_OR_RETURN(const std::vector<int32_t> added, model.text.tokenizer->Encode(""));
    while (behind < added.size() && behind < most &&
           added[added.size() - 1 - behind] == ids[ids.size() - 1 - behind] &&
           (added.size() - behind > 1 || added[0] != ids[0]))
      ++behind;
  }
  ids.erase(ids.begin() + static_cast<int64_t>(most - behind),
            ids.end() - static_cast<int64_t>(behind));
  return absl::OkStatus();
}

absl::Status CheckLength(const Model& model, const char* field, int64_t tokens) {
  if (tokens == 0) return Refuse(field, "prompt is empty, expected at least one token");
  if (tokens > model.max_model_len) {
    return Refuse(field, "prompt has ", tokens, " tokens, the model takes at most ",
                  model.max_model_len, " (max_model_len); shorten it");
  }
  if (model.pooling->is_whole && tokens > model.max_step_tokens) {
    return Refuse(field, "prompt has ", tokens,
                  " tokens, which this model computes in one step, and a step has at most ",
                  model.max_step_tokens,
                  " (--max-num-batched-tokens); shorten it, or raise the flag");
  }
  return absl::OkStatus();
}

// Nothing before the token that is taken sees padding behind it, so it need not be computed. Of padding
// alone transformers takes the first token.
void DropPadding(const Pooling& pooling, Tokenizer::Pair& prompt) {
  if (!pooling.padding_token.has_value()) return;
  while (prompt.ids.size() > 1 && prompt.ids.back() == *pooling.padding_token)
    prompt.ids.pop_back();
  prompt.types.resize(std::min(prompt.types.size(), prompt.ids.size()));
}

}  // namespace

absl::StatusOr<Tokenizer::Pair> RequestPreparer::PoolingPrompt(const Request& request) const {
  Tokenizer::Pair out;
  if (!request.text_pair.has_value()) {
    KEEL_ASSIGN_OR_RETURN(out.ids, PromptTokens(request));
    KEEL_RETURN_IF_ERROR(Truncate(model_, request, out.ids));
    return out;
  }
  const auto* text = std::get_if<std::string>(&request.prompt);
  if (text == nullptr)
    return Refuse("text_pair", "text_pair is set, so the prompt must be a text too");
  // What is surely too long is refused before it is tokenized; a character has at most 4 bytes.
  const size_t bytes = text->size() + request.text_pair->size();
  const int64_t most = 4 * model_.max_model_len * model_.text.tokenizer->max_token_characters();
  if (static_cast<int64_t>(bytes) > most) {
    return Refuse("prompt", "prompt and text_pair have ", bytes, " bytes, the model takes at most ",
                  model_.max_model_len, " tokens (max_model_len), which ", most,
                  " bytes surely fill; shorten them");
  }
  return model_.text.tokenizer->EncodePair(*text, *request.text_pair,
                                           request.add_special_tokens.value_or(true));
}

absl::StatusOr<std::unique_ptr<RunningRequest>> RequestPreparer::PreparePooling(
    const Request& request, OutputCallback callback) const {
  KEEL_RETURN_IF_ERROR(CheckTask(model_, request));
  KEEL_RETURN_IF_ERROR(CheckDimensions(model_, *request.pooling));
  const Pooling& pooling = *model_.pooling;
  KEEL_ASSIGN_OR_RETURN(Tokenizer::Pair prompt, PoolingPrompt(request));
  DropPadding(pooling, prompt);
  const char* field = std::holds_alternative<ChatPrompt>(request.prompt) ? "messages" : "prompt";
  KEEL_RETURN_IF_ERROR(CheckLength(model_, field, static_cast<int64_t>(prompt.ids.size())));

  auto out = std::make_unique<RunningRequest>();
  out->request = request;
  out->request.n = 1;
  out->request.best_of.reset();
  out->request.beams.reset();
  out->request.sampling = {};
  out->prompt = std::make_shared<const std::vector<int32_t>>(std::move(prompt.ids));
  out->outputs = std::make_shared<OutputChannel>();
  out->outputs->prompt = out->prompt;
  out->outputs->callback = std::move(callback);
  auto stream = std::make_shared<OutputStream>(
      OutputStream{out->outputs, IncrementalDetokenizer(model_.text.tokenizer, {})});
  auto sequence = std::make_unique<RunningSequence>(
      out.get(), SequenceSampler({}, {}, {}, model_.vocab_size), std::move(stream));
  sequence->priority = request.priority;
  sequence->cache_salt = CacheSalt(request, static_cast<int64_t>(out->prompt->size()));
  sequence->tokens = *out->prompt;
  sequence->prompt_tokens = sequence->size();
  sequence->is_whole = pooling.is_whole;
  sequence->reads_prefix_cache = !pooling.is_whole;
  if (pooling.reads_token_types) sequence->token_types = std::move(prompt.types);
  out->sequences.push_back(std::move(sequence));
  const bool activates = request.pooling->use_activation.value_or(true);
  out->decoding = std::make_unique<PoolingDecoding>(
      activates ? pooling.activation : VectorActivation::kNone, request.pooling->dimensions);
  return out;
}

}  // namespace keel

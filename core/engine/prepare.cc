// What happens to a request on its caller's thread: prompt to tokens, defaults, checks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/engine/engine.h"

namespace keel {
namespace {

constexpr int64_t kMaxSequences = 128;  // n
constexpr size_t kMaxStops = 64;

absl::StatusOr<std::string> RenderChat(const Model& model, const ChatPrompt& chat) {
  if (model.text.chat_template == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model '", model.name, "' has no chat template: send a prompt instead of messages"));
  }
  ChatTemplateInput input;
  input.messages = chat.messages;
  input.tools = chat.tools;
  input.documents = chat.documents;
  input.kwargs = chat.template_kwargs;
  input.add_generation_prompt = chat.add_generation_prompt && !chat.continue_final_message;
  input.continue_final_message = chat.continue_final_message;
  absl::StatusOr<std::string> text = model.text.chat_template->Render(input);
  // A limit that these messages exceed will stay exceeded: nothing to try again later.
  if (absl::IsResourceExhausted(text.status()))
    return absl::InvalidArgumentError(text.status().message());
  return text;
}

absl::Status CheckTokenIds(const std::vector<int32_t>& ids, int64_t vocab_size) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt holds token id ", id, ", expected 0 to ", vocab_size - 1));
    }
  }
  return absl::OkStatus();
}

// Unset values come from generation_config.json, then from the neutral value.
absl::StatusOr<SamplingParams> Sampling(const Model& model, const Request& request) {
  const Request::Sampling& asked = request.sampling;
  const GenerationConfig& defaults = model.generation();
  SamplingParams out;
  // do_sample false says that the authors want greedy; servers sample unless temperature is given.
  out.temperature = asked.temperature.value_or(
      defaults.temperature.value_or(defaults.do_sample.value_or(true) ? 1 : 0));
  out.top_k = asked.top_k.value_or(defaults.top_k.value_or(0));
  out.top_p = asked.top_p.value_or(defaults.top_p.value_or(1));
  out.min_p = asked.min_p.value_or(defaults.min_p.value_or(0));
  out.typical_p = asked.typical_p.value_or(defaults.typical_p.value_or(1));
  out.repetition_penalty =
      asked.repetition_penalty.value_or(defaults.repetition_penalty.value_or(1));
  out.presence_penalty = asked.presence_penalty;
  out.frequency_penalty = asked.frequency_penalty;
  out.logit_bias = asked.logit_bias;
  out.allowed_token_ids = asked.allowed_token_ids;
  out.min_tokens = asked.min_tokens;
  out.seed = asked.seed;
  out.logprobs = asked.logprobs;
  for (const std::string& word : asked.bad_words) {
    // As vLLM does: the word at the beginning of a text and after a space are different tokens.
    for (const std::string& spelled : {word, absl::StrCat(" ", word)}) {
      KEEL_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                            model.text.tokenizer->Encode(spelled, {.add_special_tokens = false}));
      if (!ids.empty()) out.bad_words.push_back(std::move(ids));
    }
  }
  KEEL_RETURN_IF_ERROR(CheckSamplingParams(out, model.vocab_size));
  return out;
}

absl::Status CheckLimits(const Request& request) {
  if (request.n < 1 || request.n > kMaxSequences) {
    return absl::InvalidArgumentError(
        absl::StrCat("n is ", request.n, ", expected 1 to ", kMaxSequences));
  }
  if (request.max_tokens.has_value() && *request.max_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_tokens is ", *request.max_tokens, ", expected at least 1"));
  }
  if (request.stop.size() > kMaxStops) {
    return absl::InvalidArgumentError(
        absl::StrCat("stop has ", request.stop.size(), " strings, expected at most ", kMaxStops));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> Engine::PromptTokens(const Request& request) const {
  EncodeOptions encode;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    KEEL_RETURN_IF_ERROR(CheckTokenIds(*ids, model_.vocab_size));
    return *ids;
  }
  if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    encode.add_special_tokens = request.add_special_tokens.value_or(true);
    return model_.text.tokenizer->Encode(*text, encode);
  }
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    KEEL_ASSIGN_OR_RETURN(const std::string text, RenderChat(model_, *chat));
    encode.add_special_tokens = request.add_special_tokens.value_or(false);
    return model_.text.tokenizer->Encode(text, encode);
  }
  return absl::InvalidArgumentError("the request has no prompt: set text, token ids or messages");
}

absl::StatusOr<std::unique_ptr<RunningRequest>> Engine::Prepare(const Request& request,
                                                                OutputCallback callback) const {
  KEEL_RETURN_IF_ERROR(CheckLimits(request));
  KEEL_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, PromptTokens(request));
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  if (prompt.empty())
    return absl::InvalidArgumentError("prompt is empty, expected at least one token");
  if (prompt_tokens >= model_.max_model_len) {
    return absl::InvalidArgumentError(absl::StrCat(
        "prompt has ", prompt_tokens, " tokens, the model takes at most ", model_.max_model_len - 1,
        " and one for the answer (max_model_len ", model_.max_model_len, "); shorten it"));
  }
  const int64_t room = model_.max_model_len - prompt_tokens;
  if (request.max_tokens.value_or(1) > room) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_tokens is ", *request.max_tokens, " and the prompt has ", prompt_tokens,
                     " tokens, together more than max_model_len ", model_.max_model_len,
                     "; ask for at most ", room));
  }
  KEEL_ASSIGN_OR_RETURN(const SamplingParams params, Sampling(model_, request));

  auto out = std::make_unique<RunningRequest>();
  out->request = request;
  out->callback = std::move(callback);
  out->prompt = std::make_shared<const std::vector<int32_t>>(std::move(prompt));
  out->max_tokens = request.max_tokens.value_or(room);
  out->end_token_ids = request.stop_token_ids;
  if (!request.ignore_eos) {
    out->end_token_ids.insert(out->end_token_ids.end(), model_.eos_token_ids.begin(),
                              model_.eos_token_ids.end());
  }
  for (int64_t i = 0; i < request.n; ++i) {
    SamplingParams of_sequence = params;
    if (params.seed.has_value()) of_sequence.seed = *params.seed + i;  // each of n its own stream
    SequenceSampler sampler(of_sequence, *out->prompt, out->end_token_ids, model_.vocab_size);
    IncrementalDetokenizer detokenizer(model_.text.tokenizer,
                                       {.skip_special_tokens = request.skip_special_tokens});
    KEEL_RETURN_IF_ERROR(detokenizer.Prime(*out->prompt));
    StopChecker stop(request.stop, request.include_stop_str_in_output);
    auto sequence =
        std::make_unique<RunningSequence>(out.get(), static_cast<uint32_t>(i), std::move(sampler),
                                          std::move(detokenizer), std::move(stop));
    sequence->priority = request.priority;
    sequence->cache_salt = request.cache_salt;
    sequence->tokens = *out->prompt;
    sequence->prompt_tokens = static_cast<int32_t>(prompt_tokens);
    sequence->wants_prompt_logits = request.sampling.prompt_logprobs.has_value();
    out->sequences.push_back(std::move(sequence));
  }
  out->unfinished = static_cast<uint32_t>(request.n);
  return out;
}

}  // namespace keel

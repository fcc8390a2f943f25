// What happens to a request on its caller's thread: prompt to tokens, defaults, checks.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/engine/engine.h"

namespace keel {
namespace {

constexpr int64_t kMaxSequences = 128;  // n
constexpr int64_t kMaxBeams = 32;
constexpr size_t kMaxStops = 64;
// Tokens of a prompt whose logits are held at once: 128 rows of 150,000 are 75 MiB.
constexpr int32_t kMaxPromptLogits = 128;

// A limit that a request exceeds will stay exceeded: nothing to try again later.
absl::Status Permanent(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) return absl::InvalidArgumentError(status.message());
  return status;
}

// What is surely too long is refused before it is tokenized, which takes seconds and gigabytes.
absl::Status CheckCharacters(const Model& model, absl::string_view text) {
  const int64_t limit = model.max_model_len * model.text.tokenizer->max_token_characters();
  const int64_t characters = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  if (characters <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "prompt has ", characters, " characters, more tokens than fit: the model takes at most ",
      model.max_model_len - 1, " and one for the answer (max_model_len ", model.max_model_len,
      "); shorten it"));
}

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
  if (!text.ok()) return Permanent(text.status());
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

absl::Status InRange(absl::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", expected ", low, " to ", high));
}

absl::Status CheckLimits(const Request& request) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 4000000;  // milliseconds fit too
  KEEL_RETURN_IF_ERROR(InRange("n", request.n, 1, kMaxSequences));
  if (request.best_of.has_value())
    KEEL_RETURN_IF_ERROR(InRange("best_of", *request.best_of, request.n, kMaxSequences));
  if (request.timeout_ms.has_value())
    KEEL_RETURN_IF_ERROR(InRange("timeout_ms", *request.timeout_ms, 1, kMax));
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

// Beam search chooses texts as a whole; what works token by token has no part in it.
absl::Status CheckBeams(const Request& request) {
  if (!request.beam_width.has_value()) return absl::OkStatus();
  KEEL_RETURN_IF_ERROR(InRange("beam_width", *request.beam_width, request.n, kMaxBeams));
  const auto refuse = [](absl::string_view what) {
    return absl::UnimplementedError(absl::StrCat(what, " and beam_width exclude each other"));
  };
  if (request.has_grammar) return refuse("structured output");
  if (request.best_of.has_value()) return refuse("best_of");
  if (request.sampling.logprobs.has_value()) return refuse("logprobs");
  if (!request.stop.empty()) return refuse("stop strings (use stop_token_ids)");
  return absl::OkStatus();
}

std::unique_ptr<BeamSearch> MakeBeamSearch(const Request& request, const RunningRequest& running) {
  if (!request.beam_width.has_value()) return nullptr;
  BeamSearchOptions options;
  options.width = static_cast<int32_t>(*request.beam_width);
  options.length_penalty = request.length_penalty;
  options.early_stopping = request.early_stopping;
  options.end_tokens = running.end_token_ids;
  options.max_tokens = running.max_tokens;
  return std::make_unique<BeamSearch>(std::move(options));
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> Engine::PromptTokens(const Request& request) const {
  EncodeOptions encode;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    KEEL_RETURN_IF_ERROR(CheckTokenIds(*ids, model_.vocab_size));
    return *ids;
  }
  if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    KEEL_RETURN_IF_ERROR(CheckCharacters(model_, *text));
    encode.add_special_tokens = request.add_special_tokens.value_or(true);
    return model_.text.tokenizer->Encode(*text, encode);
  }
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    KEEL_ASSIGN_OR_RETURN(const std::string text, RenderChat(model_, *chat));
    KEEL_RETURN_IF_ERROR(CheckCharacters(model_, text));
    encode.add_special_tokens = request.add_special_tokens.value_or(false);
    return model_.text.tokenizer->Encode(text, encode);
  }
  return absl::InvalidArgumentError("the request has no prompt: set text, token ids or messages");
}

absl::StatusOr<std::unique_ptr<RunningRequest>> Engine::Prepare(const Request& request,
                                                                OutputCallback callback) const {
  KEEL_RETURN_IF_ERROR(CheckLimits(request));
  KEEL_RETURN_IF_ERROR(CheckBeams(request));
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
  KEEL_ASSIGN_OR_RETURN(SamplingParams params, Sampling(model_, request));
  const bool compares = request.best_of.has_value();
  if (compares && !params.logprobs.has_value()) params.logprobs = 0;  // of the tokens themselves

  auto out = std::make_unique<RunningRequest>();
  out->request = request;
  out->prompt = std::make_shared<const std::vector<int32_t>>(std::move(prompt));
  out->max_tokens = request.max_tokens.value_or(room);
  out->end_token_ids = request.stop_token_ids;
  if (!request.ignore_eos) {
    out->end_token_ids.insert(out->end_token_ids.end(), model_.eos_token_ids.begin(),
                              model_.eos_token_ids.end());
  }
  out->num_sequences = request.best_of.value_or(request.n);
  out->beams = MakeBeamSearch(request, *out);
  if (!params.seed.has_value()) params.seed = static_cast<int64_t>(RandomSeed());
  out->seed = static_cast<uint64_t>(*params.seed);

  SequenceSampler sampler(params, *out->prompt, out->end_token_ids, model_.vocab_size);
  IncrementalDetokenizer detokenizer(model_.text.tokenizer,
                                     {.skip_special_tokens = request.skip_special_tokens});
  KEEL_RETURN_IF_ERROR(detokenizer.Prime(*out->prompt));
  out->outputs = std::make_shared<OutputChannel>();
  out->outputs->prompt = out->prompt;
  out->outputs->callback = std::move(callback);
  out->outputs->streams = request.stream;
  if (out->num_sequences > request.n) out->outputs->keeps = static_cast<size_t>(request.n);
  auto sequence = std::make_unique<RunningSequence>(
      out.get(), std::move(sampler), std::make_shared<OutputStream>(out->outputs, detokenizer));
  if (!request.stop.empty()) {
    sequence->stop.emplace(std::move(detokenizer),
                           StopChecker(request.stop, request.include_stop_str_in_output));
  }
  sequence->priority = request.priority;
  sequence->cache_salt = request.cache_salt;
  sequence->tokens = *out->prompt;
  sequence->prompt_tokens = static_cast<int32_t>(prompt_tokens);
  if (request.sampling.prompt_logprobs.has_value()) {
    sequence->reads_prefix_cache = false;  // every token's logits are wanted
    sequence->max_chunk = kMaxPromptLogits;
  }
  if (request.has_grammar) {
    KEEL_ASSIGN_OR_RETURN(sequence->grammar, CompileGrammar(request.grammar));
  }
  out->sequences.push_back(std::move(sequence));
  return out;
}

absl::StatusOr<std::unique_ptr<GrammarMatcher>> Engine::CompileGrammar(
    const GrammarSpec& spec) const {
  if (grammars_ == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("model '", model_.name,
                     "' names no token that ends a text, so structured output is not possible"));
  }
  const absl::Time start = absl::Now();
  absl::StatusOr<std::unique_ptr<GrammarMatcher>> matcher = grammars_->Compile(spec);
  metrics_->grammar_compile_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - start));
  if (!matcher.ok()) return Permanent(Annotate(matcher.status(), "structured output"));
  return matcher;
}

}  // namespace keel

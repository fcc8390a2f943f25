#include "core/engine/prepare.h"

#include <map>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/error_detail.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/engine/beam_decoding.h"
#include "core/engine/draft_decoding.h"
#include "core/engine/plain_decoding.h"
#include "core/engine/prepare_parsing.h"
#include "core/engine/request_limits.h"
#include "core/engine/token_mask.h"
#include "core/processor/processor.h"

namespace keel {
namespace {

// A refusal that says which parameter is at fault.
template <typename... Words>
absl::Status Refuse(absl::string_view field, Words&&... words) {
  return WithField(absl::InvalidArgumentError(absl::StrCat(std::forward<Words>(words)...)), field);
}

// The parameter that the prompt came in.
const char* PromptField(const Request& request) {
  return std::holds_alternative<ChatPrompt>(request.prompt) ? "messages" : "prompt";
}

// Tokens of a prompt whose logits are held at once: 128 rows of 150,000 are 75 MiB.
constexpr int32_t kMaxPromptLogits = 128;

// What is surely too long is refused before it is tokenized, which takes seconds and gigabytes.
absl::Status CheckCharacters(const Model& model, absl::string_view text) {
  const int64_t limit = model.max_model_len * model.text.tokenizer->max_token_characters();
  const int64_t characters = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  if (characters <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "prompt has ", characters, " characters, the model takes at most ",
      model.pooling.has_value()
          ? absl::StrCat(model.max_model_len, " tokens (max_model_len), which ")
          : absl::StrCat(model.max_model_len - 1, " tokens and one for the answer (max_model_len ",
                         model.max_model_len, "), which "),
      limit, " characters surely fill; shorten it"));
}

// `text` up to `bytes`, without a part of a character at its end.
absl::string_view Beginning(absl::string_view text, size_t bytes) {
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

// A text of megabytes may be short enough where the context is long. Its beginning is tokenized first:
// what has too many tokens there has too many as a whole.
// Where the end may be left out, that is as good as the whole text.
absl::StatusOr<std::vector<int32_t>> Encode(const Model& model, absl::string_view text,
                                            const EncodeOptions& options, bool truncates) {
  constexpr size_t kBytesAToken = 8;       // texts of people have fewer
  constexpr size_t kLeastBytes = 1 << 16;  // not worth a second look
  constexpr int64_t kCut = 256;            // more tokens than this a cut word does not make
  if (!truncates) KEEL_RETURN_IF_ERROR(CheckCharacters(model, text));
  const auto max_tokens = static_cast<size_t>(model.max_model_len);
  for (size_t bytes = std::max(kBytesAToken * max_tokens, kLeastBytes); bytes < text.size();
       bytes *= 4) {
    KEEL_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                          model.text.tokenizer->Encode(Beginning(text, bytes), options));
    if (static_cast<int64_t>(ids.size()) <= model.max_model_len + kCut) continue;
    if (truncates) return ids;
    return absl::InvalidArgumentError(absl::StrCat(
        "prompt has ", ids.size(), " tokens in its first ", bytes, " of ", text.size(),
        " bytes, the model takes at most ", model.max_model_len - 1,
        " and one for the answer (max_model_len ", model.max_model_len, "); shorten it"));
  }
  return model.text.tokenizer->Encode(text, options);
}

// What stands for an item in a text, by modality.
std::map<std::string, std::string> PlaceholderTexts(const Model& model) {
  std::map<std::string, std::string> texts;
  if (model.processor == nullptr) return texts;
  for (const uint32_t modality : {KEEL_MODALITY_IMAGE, KEEL_MODALITY_VIDEO, KEEL_MODALITY_AUDIO}) {
    if (const PlaceholderTokens* tokens = model.processor->tokens(modality))
      texts[ModalityName(modality)] = tokens->text;
  }
  return texts;
}

absl::StatusOr<std::string> RenderChat(const Model& model, const ChatPrompt& chat) {
  if (model.text.chat_template == nullptr) {
    return Refuse("messages", "model '", model.name,
                  "' has no chat template: send a prompt instead of messages");
  }
  ChatTemplateInput input;
  input.messages = chat.messages;
  input.tools = chat.tools;
  input.documents = chat.documents;
  input.kwargs = chat.template_kwargs;
  input.add_generation_prompt = chat.add_generation_prompt && !chat.continue_final_message;
  input.continue_final_message = chat.continue_final_message;
  input.content_format = model.text.content_format;
  input.placeholders = PlaceholderTexts(model);
  absl::StatusOr<std::string> text = model.text.chat_template->Render(input);
  if (!text.ok()) return WithField(text.status(), "messages");
  return text;
}

// What a group's keys hang on, beside the tokens before it: all of its own, and their media.
std::string GroupHash(const TokenRange& group, const std::vector<int32_t>& tokens,
                      const RequestMedia& media) {
  std::string content = absl::StrCat(
      "group ", absl::StrJoin(tokens.begin() + group.begin, tokens.begin() + group.end, ","));
  for (const RequestMedia::Item& item : media.items) {
    if (item.span.begin < group.end && group.begin < item.span.end)
      absl::StrAppend(&content, " ", item.span.begin - group.begin, ":", item.hash);
  }
  return Sha256Hex({reinterpret_cast<const uint8_t*>(content.data()), content.size()});
}

absl::Status CheckTokenIds(const std::vector<int32_t>& ids, int64_t vocab_size) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return Refuse("prompt", "prompt holds token id ", id, ", expected 0 to ", vocab_size - 1);
    }
  }
  return absl::OkStatus();
}

// Unset values come from generation_config.json, then from the neutral value.
absl::StatusOr<SamplingParams> Sampling(const Model& model, const Request& request) {
  const Request::Sampling& asked = request.sampling;
  const GenerationConfig& defaults = model.generation;
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
  KEEL_RETURN_IF_ERROR(CheckRange(kNumAnswers, request.n));
  if (request.best_of.has_value())
    KEEL_RETURN_IF_ERROR(CheckRange(kBestOf.From(request.n), *request.best_of));
  if (request.timeout_ms.has_value())
    KEEL_RETURN_IF_ERROR(CheckRange(kTimeoutMs, *request.timeout_ms));
  if (request.max_tokens.has_value())
    KEEL_RETURN_IF_ERROR(CheckRange(kMaxTokens, *request.max_tokens));
  if (request.stop.size() > kMaxStopStrings) {
    return Refuse("stop", "stop has ", request.stop.size(), " strings, expected at most ",
                  kMaxStopStrings);
  }
  return absl::OkStatus();
}

// Beam search chooses texts as a whole; what works token by token has no part in it.
absl::Status CheckBeams(const Request& request) {
  if (!request.beams.has_value()) return absl::OkStatus();
  KEEL_RETURN_IF_ERROR(CheckRange(kBeamWidth.From(request.n), request.beams->width));
  const auto refuse = [](absl::string_view what) {
    return WithField(
        absl::UnimplementedError(absl::StrCat(what, " and beam_width exclude each other")),
        "beam_width");
  };
  if (request.grammar.has_value()) return refuse("structured output");
  if (request.thinking_token_budget.has_value()) return refuse("thinking_token_budget");
  if (request.max_tokens == 0) return refuse("max_tokens 0");
  if (request.best_of.has_value()) return refuse("best_of");
  if (request.sampling.logprobs.has_value()) return refuse("logprobs");
  if (!request.stop.empty()) return refuse("stop strings (use stop_token_ids)");
  return absl::OkStatus();
}

// How long the answer may get: what was asked, else max_new_tokens of generation_config.json, else
// what the prompt leaves.
absl::StatusOr<int64_t> MaxTokens(const Model& model, const Request& request,
                                  int64_t prompt_tokens) {
  const char* field = PromptField(request);
  if (prompt_tokens == 0) return Refuse(field, "prompt is empty, expected at least one token");
  const int64_t room = model.max_model_len - prompt_tokens;
  if (room < 1) {
    return Refuse(field, "prompt has ", prompt_tokens, " tokens, the model takes at most ",
                  model.max_model_len - 1, " and one for the answer (max_model_len ",
                  model.max_model_len, "); shorten it");
  }
  if (request.max_tokens.value_or(0) > room) {
    return Refuse("max_tokens", "max_tokens is ", *request.max_tokens, " and the prompt has ",
                  prompt_tokens, " tokens, together more than max_model_len ", model.max_model_len,
                  "; ask for at most ", room);
  }
  const int64_t usual =
      std::clamp<int64_t>(model.generation.max_new_tokens.value_or(room), 1, room);
  const int64_t max_tokens = request.max_tokens.value_or(usual);
  if (request.sampling.min_tokens > max_tokens) {
    return Refuse("min_tokens", "min_tokens is ", request.sampling.min_tokens,
                  ", expected at most max_tokens, which is ", max_tokens,
                  request.max_tokens.has_value() ? ""
                  : usual < room                 ? " (max_new_tokens of generation_config.json)"
                                                 : " (what the prompt leaves)");
  }
  return max_tokens;
}

// Refuses constraints that contradict each other from the first token on.
absl::Status CheckFirstToken(RunningSequence& sequence, int64_t vocab_size) {
  if (!sequence.sampler.is_constrained()) return absl::OkStatus();
  if (!IsMasked(sequence)) return sequence.sampler.CheckChoice();
  KEEL_RETURN_IF_ERROR(FillMask(sequence, vocab_size));
  return sequence.sampler.CheckChoice(sequence.mask);
}

}  // namespace

RequestPreparer::RequestPreparer(const Model& model, const PromptLookupOptions& drafts,
                                 Metrics& metrics, const MediaLoader* media)
    : model_(model),
      drafts_(drafts),
      metrics_(metrics),
      media_(media),
      grammars_(
          GrammarCompiler::Create(model.text.tokenizer, model.vocab_size, model.eos_token_ids)) {}

std::string RequestPreparer::CacheSalt(const Request& request, int64_t prompt_tokens) const {
  const PromptRope& rope = model_.prompt_rope;
  if (rope.trained == 0 || prompt_tokens <= rope.trained) return request.cache_salt;
  return absl::StrCat("rope ", rope.each_own ? prompt_tokens : 0, "/", request.cache_salt);
}

absl::StatusOr<std::vector<int32_t>> RequestPreparer::PromptTokens(const Request& request) const {
  KEEL_ASSIGN_OR_RETURN(const MediaItems media, LoadMedia(request.media));
  KEEL_ASSIGN_OR_RETURN(MediaPrompt prompt, ReadPrompt(request, media));
  return std::move(prompt.ids);
}

absl::StatusOr<std::vector<int32_t>> RequestPreparer::TextTokens(const Request& request) const {
  EncodeOptions encode;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    KEEL_RETURN_IF_ERROR(CheckTokenIds(*ids, model_.vocab_size));
    return *ids;
  }
  if (const auto* text = std::get_if<std::string>(&request.prompt)) {
    encode.add_special_tokens = request.add_special_tokens.value_or(true);
    const bool truncates =
        request.pooling.has_value() && request.pooling->truncate_prompt_tokens.has_value();
    absl::StatusOr<std::vector<int32_t>> ids = Encode(model_, *text, encode, truncates);
    return ids.ok() ? std::move(ids) : WithField(ids.status(), "prompt");
  }
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    KEEL_ASSIGN_OR_RETURN(const std::string text, RenderChat(model_, *chat));
    encode.add_special_tokens = request.add_special_tokens.value_or(false);
    absl::StatusOr<std::vector<int32_t>> ids = Encode(model_, text, encode, /*truncates=*/false);
    return ids.ok() ? std::move(ids) : WithField(ids.status(), "messages");
  }
  return Refuse("prompt", "the request has no prompt: set text, token ids or messages");
}

absl::StatusOr<std::unique_ptr<RunningRequest>> RequestPreparer::Prepare(
    Request request, OutputCallback callback) const {
  KEEL_RETURN_IF_ERROR(CheckLimits(request));
  if (request.pooling.has_value() || model_.pooling.has_value()) {
    if (!request.media.empty()) return Refuse("media", "vectors are made of texts alone");
    return PreparePooling(request, std::move(callback));
  }
  if (request.text_pair.has_value())
    return Refuse("text_pair", "text_pair is for tasks that read two texts together");
  KEEL_RETURN_IF_ERROR(ApplyToolChoice(model_, request));
  KEEL_RETURN_IF_ERROR(CheckBeams(request));
  KEEL_ASSIGN_OR_RETURN(const MediaItems media, LoadMedia(request.media));
  KEEL_ASSIGN_OR_RETURN(MediaPrompt prompt, ReadPrompt(request, media));
  const auto prompt_tokens = static_cast<int64_t>(prompt.ids.size());
  KEEL_ASSIGN_OR_RETURN(const int64_t max_tokens, MaxTokens(model_, request, prompt_tokens));

  auto out = std::make_unique<RunningRequest>();
  KEEL_ASSIGN_OR_RETURN(out->media, Preprocess(request, media, prompt));
  out->request = std::move(request);
  out->request.media.clear();  // files are not needed any more
  out->prompt = std::make_shared<const std::vector<int32_t>>(std::move(prompt.ids));
  out->max_tokens = max_tokens;
  out->end_token_ids = out->request.stop_token_ids;
  if (!out->request.ignore_eos) {
    out->end_token_ids.insert(out->end_token_ids.end(), model_.eos_token_ids.begin(),
                              model_.eos_token_ids.end());
  }
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<RunningSequence> sequence,
                        MakeSequence(*out, std::move(callback)));
  out->outputs = sequence->outputs->channel;
  out->sequences.push_back(std::move(sequence));
  out->decoding = MakeDecoding(*out);
  return out;
}

// The sequence of the prompt; others branch off when it is computed.
absl::StatusOr<std::unique_ptr<RunningSequence>> RequestPreparer::MakeSequence(
    RunningRequest& running, OutputCallback callback) const {
  const Request& request = running.request;
  KEEL_ASSIGN_OR_RETURN(SamplingParams params, Sampling(model_, request));
  if (request.best_of.has_value() && !params.logprobs.has_value())
    params.logprobs = 0;  // of the tokens themselves, to compare
  if (!params.seed.has_value()) params.seed = static_cast<int64_t>(RandomSeed());
  std::vector<int32_t> end_tokens = running.end_token_ids;
  if (request.grammar.has_value() && request.ignore_eos) {
    // A grammar's end is one even so.
    end_tokens.insert(end_tokens.end(), model_.eos_token_ids.begin(), model_.eos_token_ids.end());
  }
  SequenceSampler sampler(params, *running.prompt, std::move(end_tokens), model_.vocab_size);
  IncrementalDetokenizer detokenizer(model_.text.tokenizer,
                                     {.skip_special_tokens = request.skip_special_tokens,
                                      .kept_special_ids = KeptSpecialIds(model_, request)});
  KEEL_RETURN_IF_ERROR(detokenizer.Prime(*running.prompt));

  const int64_t num_sequences = request.best_of.value_or(request.n);
  auto channel = std::make_shared<OutputChannel>();
  channel->prompt = running.prompt;
  channel->callback = std::move(callback);
  channel->streams = request.stream;
  channel->max_unread = request.max_unread_tokens;
  if (num_sequences > request.n) channel->keeps = static_cast<size_t>(request.n);
  auto out = std::make_unique<RunningSequence>(
      &running, std::move(sampler), std::make_shared<OutputStream>(channel, detokenizer));
  KEEL_ASSIGN_OR_RETURN(out->outputs->parser, ParserFor(model_, request, *running.prompt));
  KEEL_ASSIGN_OR_RETURN(out->reasoning,
                        ReasoningFor(model_, request, *running.prompt, detokenizer));
  out->priority = request.priority;
  out->cache_salt = CacheSalt(request, static_cast<int64_t>(running.prompt->size()));
  out->tokens = *running.prompt;
  out->prompt_tokens = static_cast<int32_t>(running.prompt->size());
  if (running.media != nullptr) {
    for (const RequestMedia::Item& item : running.media->items)
      out->media.push_back({item.span.begin, item.span.end, item.hash});
    out->groups = running.media->groups;
    for (const TokenRange& group : out->groups)
      out->media.push_back(
          {group.begin, group.end, GroupHash(group, *running.prompt, *running.media)});
  }
  if (!request.stop.empty()) {
    out->stop.emplace(std::move(detokenizer),
                      StopChecker(request.stop, request.include_stop_str_in_output));
  }
  if (request.sampling.prompt_logprobs.has_value()) {
    out->reads_prefix_cache = false;  // every token's logits are wanted
    out->max_chunk = kMaxPromptLogits;
  }
  // The next sequence has the next seed.
  for (int64_t i = 1; i < num_sequences && !request.beams.has_value(); ++i)
    out->fork_seeds.push_back(static_cast<uint64_t>(*params.seed) + static_cast<uint64_t>(i));
  if (request.grammar.has_value()) {
    KEEL_ASSIGN_OR_RETURN(out->grammar, CompileGrammar(*request.grammar));
  }
  KEEL_RETURN_IF_ERROR(CheckFirstToken(*out, model_.vocab_size));
  return out;
}

std::unique_ptr<Decoding> RequestPreparer::MakeDecoding(RunningRequest& running) const {
  const Request& request = running.request;
  if (request.beams.has_value()) {
    auto decoding = std::make_unique<BeamDecoding>(
        BeamSearch(*request.beams, running.end_token_ids, running.max_tokens));
    running.sequences[0]->num_candidates = decoding->num_candidates();
    return decoding;
  }
  if (drafts_.num_tokens > 0) return std::make_unique<DraftDecoding>(drafts_);
  return std::make_unique<PlainDecoding>();
}

absl::StatusOr<std::unique_ptr<GrammarMatcher>> RequestPreparer::CompileGrammar(
    const GrammarSpec& spec) const {
  const absl::Time start = absl::Now();
  absl::StatusOr<std::unique_ptr<GrammarMatcher>> matcher = grammars_->Compile(spec);
  metrics_.grammar_compile_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - start));
  if (!matcher.ok()) return Annotate(matcher.status(), "structured output");
  return matcher;
}

}  // namespace keel

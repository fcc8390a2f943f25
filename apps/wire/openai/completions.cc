#include "apps/wire/openai/completions.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "apps/wire/fields.h"
#include "apps/wire/openai/answer.h"
#include "apps/wire/openai/field_table.h"
#include "apps/wire/openai/logprobs.h"
#include "apps/wire/openai/sampling_fields.h"
#include "apps/wire/prompts.h"
#include "apps/wire/token_texts.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr int64_t kDefaultMaxTokens = 16;  // OpenAI's

class CompletionsAnswer : public OpenAiAnswer {
 public:
  struct Options {
    bool logprobs = false;
    bool prompt_logprobs = false;
    bool return_token_ids = false;
    bool tokens_as_ids = false;
    bool special_in_text = false;  // skip_special_tokens is false
    bool echo = false;
    std::vector<std::string> prompts;  // texts, with echo
  };

  CompletionsAnswer(const Engine& engine, OpenAiAnswerOptions common, Options options)
      : OpenAiAnswer(std::move(common)),
        options_(std::move(options)),
        texts_(engine, options_.tokens_as_ids) {}

 private:
  std::string_view object() const override { return "text_completion"; }
  std::string_view chunk_object() const override { return "text_completion"; }

  json::object Choice(size_t index, const Piece& whole) override {
    const OwnedOutput& output = whole.output;
    std::string text = output.text;
    json::value logprobs_json;
    if (options_.logprobs) logprobs_json = Logprobs(index, whole);
    if (options_.echo && whole.prompt_tokens != nullptr) {
      text.insert(0, options_.prompts[whole.prompt]);
    }
    json::object choice = {{"index", index},
                           {"text", std::move(text)},
                           {"logprobs", std::move(logprobs_json)},
                           {"finish_reason", TextOrNull(output.finish_reason)},
                           {"stop_reason", StopReason(output)}};
    if (options_.prompt_logprobs && whole.prompt_tokens != nullptr) {
      choice["prompt_logprobs"] = PromptLogprobs(*whole.prompt_tokens, texts_);
    }
    if (options_.return_token_ids) {
      choice["token_ids"] = ToJson(output.tokens);
      if (whole.prompt_tokens != nullptr) {
        choice["prompt_token_ids"] = ToJson(whole.prompt_tokens->ids);
      }
    }
    return choice;
  }

  std::vector<json::object> Deltas(size_t index, const Piece& piece) override {
    const OwnedOutput& output = piece.output;
    const bool is_silent =
        output.text.empty() && output.finish_reason.empty() && !options_.logprobs &&
        !options_.return_token_ids &&
        !((options_.echo || options_.prompt_logprobs) && piece.prompt_tokens != nullptr);
    if (is_silent) return {};
    return {Choice(index, piece)};
  }

  // {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: one entry a token.
  json::object Logprobs(size_t index, const Piece& piece) {
    Lists lists;
    if (offsets_.size() <= index) offsets_.resize(index + 1);
    size_t& offset = offsets_[index];
    if (options_.echo && piece.prompt_tokens != nullptr) {
      const PromptTokens& prompt = *piece.prompt_tokens;
      const bool has_own_space = options_.prompts[piece.prompt].starts_with(' ');
      bool begins = true;
      for (size_t i = 0; i < prompt.ids.size(); ++i) {
        const bool has = i < prompt.logprobs.size() && prompt.logprobs[i].has_value();
        const size_t before = offset;
        Append(prompt.ids[i], has ? &*prompt.logprobs[i] : nullptr, &lists, &offset);
        // The space that the tokenizer puts before a text is not in it.
        const bool adds_space = texts_.Get(prompt.ids[i]).bytes.starts_with(' ') && !has_own_space;
        if (begins && offset > before && adds_space) --offset;
        begins = begins && offset == before && !adds_space;
      }
    }
    for (size_t i = 0; i < piece.output.tokens.size(); ++i) {
      const bool has = i < piece.output.logprobs.size();
      Append(piece.output.tokens[i], has ? &piece.output.logprobs[i] : nullptr, &lists, &offset);
    }
    return {{"tokens", std::move(lists.tokens)},
            {"token_logprobs", std::move(lists.token_logprobs)},
            {"top_logprobs", std::move(lists.top_logprobs)},
            {"text_offset", std::move(lists.text_offset)}};
  }

  struct Lists {
    json::array tokens, token_logprobs, top_logprobs, text_offset;
  };

  void Append(int32_t token, const OwnedLogprob* logprob, Lists* lists, size_t* offset) {
    const TokenText& found = texts_.Get(token);
    const std::string& text = found.text;
    lists->tokens.emplace_back(text);
    lists->text_offset.emplace_back(*offset);
    if (!found.special || options_.special_in_text) *offset += CountCharacters(found.bytes);
    if (logprob == nullptr) {
      lists->token_logprobs.emplace_back(nullptr);
      lists->top_logprobs.emplace_back(nullptr);
      return;
    }
    lists->token_logprobs.emplace_back(FiniteLogprob(logprob->logprob));
    json::object& top = lists->top_logprobs.emplace_back(json::object()).get_object();
    for (size_t i = 0; i < logprob->top_tokens.size(); ++i) {
      top.emplace(texts_.Text(logprob->top_tokens[i]), FiniteLogprob(logprob->top_logprobs[i]));
    }
    top.emplace(text, FiniteLogprob(logprob->logprob));
  }

  const Options options_;
  TokenTexts texts_;
  std::vector<size_t> offsets_;  // of the next token's text, by choice
};

Request NewRequest(Fields& fields, const Prompt& prompt, const CallLimits& limits,
                   const CompletionsAnswer::Options& options) {
  Request request;
  const Status status = SetPrompt(prompt, request);
  if (!status.ok()) fields.Fail(FromEngine(status, "prompt"));
  ReadSamplingFields(fields, limits, request);
  const int64_t max_tokens = fields.Int("max_tokens").value_or(kDefaultMaxTokens);
  SetInt(fields, request, "max_tokens", "max_tokens", max_tokens);
  if (const auto logprobs = ReadNumLogprobs(fields, "logprobs", limits)) {
    SetInt(fields, request, "logprobs", "logprobs", *logprobs);
    if (options.echo) SetInt(fields, request, "logprobs", "prompt_logprobs", *logprobs);
  }
  return request;
}

std::string TextOf(Fields& fields, const Engine& engine, const Prompt& prompt,
                   bool skip_special_tokens) {
  if (const std::string* text = std::get_if<std::string>(&prompt)) return *text;
  Result<std::string> text =
      engine.Detokenize(std::get<std::vector<int32_t>>(prompt), skip_special_tokens);
  if (text.ok()) return *std::move(text);
  fields.Fail(FromEngine(text.status(), "prompt"));
  return "";
}

}  // namespace

MaybeError ParseCompletions(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckFieldNames(fields, OpenAiEndpoint::kCompletions);
  call->unknown_fields = fields.unknown();
  OpenAiAnswerOptions common = ReadCallFields(fields, context, call);
  common.id = "cmpl-" + context.request_id;
  CompletionsAnswer::Options options;
  options.logprobs = fields.Has("logprobs");
  options.prompt_logprobs = fields.Has("prompt_logprobs");
  options.return_token_ids = fields.Bool("return_token_ids").value_or(false);
  options.tokens_as_ids = fields.Bool("return_tokens_as_token_ids").value_or(false);
  options.special_in_text = !fields.Bool("skip_special_tokens").value_or(true);
  options.echo = fields.Bool("echo").value_or(false);
  const std::vector<Prompt> prompts = ReadPrompts(fields, "prompt");
  CheckSequences(fields, prompts.size(), context.limits);
  for (const Prompt& prompt : prompts) {
    if (!fields.ok()) break;
    call->requests.push_back(NewRequest(fields, prompt, context.limits, options));
    if (!options.echo) continue;
    options.prompts.push_back(
        TextOf(fields, context.engine, prompt, /*skip_special_tokens=*/!options.special_in_text));
  }
  call->answer =
      std::make_unique<CompletionsAnswer>(context.engine, std::move(common), std::move(options));
  return fields.error();
}

}  // namespace keel::apps

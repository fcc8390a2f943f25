#include "apps/wire/openai/field_table.h"

#include <vector>

namespace keel::apps {
namespace {

constexpr FieldInfo Served(std::string_view name, std::string_view type, std::string_view words) {
  return {.name = name, .type = type, .words = words};
}
constexpr FieldInfo Chat(std::string_view name, std::string_view type, std::string_view words) {
  return {.name = name, .type = type, .words = words, .completions = false};
}
constexpr FieldInfo Completions(std::string_view name, std::string_view type,
                                std::string_view words) {
  return {.name = name, .type = type, .words = words, .chat = false};
}
constexpr FieldInfo Refused(std::string_view name, std::string_view why) {
  return {.name = name, .type = "", .words = why, .use = FieldInfo::Use::kRefused};
}
constexpr FieldInfo Ignored(std::string_view name) {
  return {.name = name, .type = "", .words = "", .use = FieldInfo::Use::kIgnored};
}

constexpr FieldInfo kFields[] = {
    Chat("messages", "list",
         "the conversation, up to 65536 entries; content is a text or parts of types text, "
         "image_url, video_url, audio_url and input_audio"),
    Completions("prompt", "text, token ids, or a list", "one answer for each prompt and each of n"),
    Served("model", "text", "which model; the first one if absent"),
    Served("n", "number", "answers for each prompt"),
    Served("stream", "true, false", "answer by server-sent events"),
    Served("stream_options", "object", "include_usage, continuous_usage_stats"),
    Served("max_tokens", "number",
           "longest answer; 0: none, the prompt is computed; completions: 16 if absent"),
    Chat("max_completion_tokens", "number", "newer name of max_tokens"),
    Served("min_tokens", "number", "shortest answer"),
    Served("stop", "text or list", "ends the answer, which leaves it out"),
    Served("stop_token_ids", "list", "tokens that end the answer"),
    Served("include_stop_str_in_output", "true, false", "leave what ended the answer in it"),
    Served("ignore_eos", "true, false", "go on after the token that ends a text"),
    Served("temperature", "number", "0 is greedy; absent: generation_config.json"),
    Served("top_p", "number", "likeliest tokens of this total probability"),
    Served("top_k", "number", "so many likeliest tokens; 0 or -1: all"),
    Served("min_p", "number", "tokens at least so likely, relative to the likeliest"),
    Served("typical_p", "number", "locally typical sampling"),
    Served("seed", "number", "the same draws again"),
    Served("repetition_penalty", "number", "divides logits of tokens that have come"),
    Served("presence_penalty", "number", "taken from logits of tokens that have come"),
    Served("frequency_penalty", "number", "the same for each time that they came"),
    Served("logit_bias", "object", "token id to a number added to its logit"),
    Served("bad_words", "list", "texts that never come"),
    Served("allowed_token_ids", "list", "the only tokens that may come"),
    Chat("logprobs", "true, false", "log-probabilities of the answer's tokens"),
    Chat("top_logprobs", "number", "and of so many alternatives"),
    Completions("logprobs", "number", "log-probabilities with so many alternatives"),
    Served("prompt_logprobs", "number",
           "log-probabilities of the prompt with so many alternatives"),
    Served("return_token_ids", "true, false", "token ids of prompt and answer"),
    Served("return_tokens_as_token_ids", "true, false",
           "log-probabilities name tokens \"token_id:42\""),
    Served("skip_special_tokens", "true, false", "leave special tokens out of texts"),
    Served("add_special_tokens", "true, false", "begin the prompt with what the tokenizer adds"),
    Completions("echo", "true, false", "the answer begins with the prompt; max_tokens may be 0"),
    Served("best_of", "number", "so many are made, the n likeliest given"),
    Served("use_beam_search", "true, false", "beam search of width n"),
    Served("length_penalty", "number", "of beam search"),
    Served("early_stopping", "true, false, \"never\"", "of beam search"),
    Served("response_format", "object", "type text, json_object or json_schema"),
    Served("structured_outputs", "object",
           "one of json, regex, choice, grammar, json_object; whitespace_pattern, "
           "disable_any_whitespace, disable_additional_properties"),
    Served("guided_json", "object or text", "older name of structured_outputs.json"),
    Served("guided_regex", "text", "older name of structured_outputs.regex"),
    Served("guided_choice", "list", "older name of structured_outputs.choice"),
    Served("guided_grammar", "text", "older name of structured_outputs.grammar"),
    Served("guided_json_object", "true, false", "older name of structured_outputs.json_object"),
    Served("guided_whitespace_pattern", "text",
           "older name of structured_outputs.whitespace_pattern"),
    Chat("tools", "list", "functions that the model may call"),
    Chat("tool_choice", "text or object",
         "auto, none, required, or a function by name; the last two are made sure of by a grammar"),
    Chat("parallel_tool_calls", "true, false", "false: one call at most, where it is required"),
    Chat("documents", "list", "for the chat template"),
    Chat("chat_template_kwargs", "object", "for the chat template"),
    Chat("thinking_token_budget", "number",
         "so many tokens of reasoning, then its end is made to come"),
    Chat("mm_processor_kwargs", "object",
         "for the model's processor, which refuses what it does not read"),
    Chat("add_generation_prompt", "true, false", "end the prompt with the beginning of an answer"),
    Chat("continue_final_message", "true, false", "go on with the last message"),
    Served("priority", "number", "lower goes first"),
    Served("cache_salt", "text", "shares cached prompts only with requests of the same salt"),
    Served("timeout_ms", "number", "then the answer ends with what there is"),
    Served("request_id", "text", "for traces"),

    Refused("audio", "audio output is not served"),
    Refused("chat_template", "a template in the request is not served; the model's own is used"),
    Refused("function_call", "functions are not served; use tools"),
    Refused("functions", "functions are not served; use tools"),
    Refused("guided_decoding_backend", "there is one backend; leave it out"),
    Refused("kv_transfer_params", "transfer of the cache is not served"),
    Refused("logits_processors", "logits processors in the request are not served"),
    {.name = "mm_processor_kwargs",
     .type = "",
     .words = "media are served by /v1/chat/completions only",
     .chat = false,
     .use = FieldInfo::Use::kRefused},
    Refused("prediction", "predicted outputs are not served"),
    Refused("prompt_embeds", "prompts as embeddings are not served"),
    Refused("suffix", "suffix (fill in the middle) is not served"),
    Refused("truncate_prompt_tokens", "truncation of prompts is not served"),
    // Of other servers.
    Refused("ebnf", "use structured_outputs.grammar"),
    Refused("grammar", "use structured_outputs.grammar"),
    Refused("json_schema", "use response_format or structured_outputs.json"),
    Refused("max_new_tokens", "use max_tokens"),
    Refused("n_predict", "use max_tokens"),
    Refused("num_beams", "use use_beam_search and n"),
    Refused("regex", "use structured_outputs.regex"),
    Refused("repeat_penalty", "use repetition_penalty"),
    Refused("stop_sequences", "use stop"),

    Ignored("metadata"),
    Ignored("modalities"),
    Ignored("prompt_cache_key"),
    Ignored("reasoning_effort"),
    Ignored("safety_identifier"),
    Ignored("service_tier"),
    Ignored("store"),
    Ignored("user"),
    Ignored("verbosity"),
    Ignored("web_search_options"),
};

bool IsOf(const FieldInfo& field, OpenAiEndpoint endpoint) {
  return endpoint == OpenAiEndpoint::kChat ? field.chat : field.completions;
}

}  // namespace

std::span<const FieldInfo> OpenAiFields() { return kFields; }

void CheckFieldNames(Fields& fields, OpenAiEndpoint endpoint) {
  std::vector<KnownField> known;
  for (const FieldInfo& field : kFields) {
    if (IsOf(field, endpoint))
      known.push_back({.name = field.name, .use = field.use, .why = field.words});
  }
  CheckNames(fields, known);
}

}  // namespace keel::apps

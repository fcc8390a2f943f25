#include "apps/wire/openai/chat_answer.h"

#include <string>

#include "apps/wire/openai/logprobs.h"
#include "apps/wire/tools.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

json::object NewCall(const std::string& name) {
  return {{"id", NewToolCallId()},
          {"type", "function"},
          {"function", {{"name", name}, {"arguments", ""}}}};
}

// A delta as text-generation-inference writes it, whose client wants a word of tool calls, too.
void Complete(json::object* delta) {
  delta->emplace("role", "assistant");
  if (!delta->contains("tool_calls")) delta->emplace("content", "");
  delta->emplace("tool_calls", nullptr);
}

}  // namespace

json::value ChatAnswer::FinishReason(size_t index, const OwnedOutput& output) const {
  if (output.finish_reason == "stop" && num_calls_.contains(index) && !options_.names_tool)
    return "tool_calls";
  return TextOrNull(output.finish_reason);
}

json::object ChatAnswer::Choice(size_t index, const Piece& whole) {
  std::string content, reasoning;
  json::array calls;
  for (const Part& part : whole.output.parts) {
    switch (part.kind) {
      case Part::Kind::kText:
        content += part.text;
        break;
      case Part::Kind::kReasoning:
        reasoning += part.text;
        break;
      case Part::Kind::kToolName:
        calls.push_back(NewCall(part.text));
        ++num_calls_[index];
        break;
      case Part::Kind::kToolArguments:
        if (!calls.empty()) {
          calls.back().at("function").at("arguments").as_string().append(part.text);
        }
    }
  }
  json::object choice = Common(index, whole, /*with_tokens=*/true, /*with_end=*/true);
  json::object& message = choice["message"].emplace_object();
  message["role"] = "assistant";
  message["content"] = calls.empty() ? json::value(content) : TextOrNull(content);
  if (!reasoning.empty()) message["reasoning_content"] = reasoning;
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  return choice;
}

json::object ChatAnswer::DeltaOf(size_t index, const Part& part) {
  if (part.kind == Part::Kind::kText) return {{"content", part.text}};
  if (part.kind == Part::Kind::kReasoning) return {{"reasoning_content", part.text}};
  json::object call;
  if (part.kind == Part::Kind::kToolName) {
    call["index"] = num_calls_[index]++;
    for (auto& [key, value] : NewCall(part.text)) call[key] = std::move(value);
  } else {
    call["index"] = num_calls_[index] - 1;
    call["function"] = {{"arguments", part.text}};
  }
  return {{"tool_calls", json::array({std::move(call)})}};
}

// The first chunk of a choice says the role, the others bring a part each.
std::vector<json::object> ChatAnswer::Deltas(size_t index, const Piece& piece) {
  std::vector<json::object> deltas;
  if (piece.prompt_tokens != nullptr) {
    json::object first = {{"role", "assistant"}, {"content", ""}};
    if (has_full_chunks()) Complete(&first);
    deltas.push_back({{"index", index},
                      {"delta", std::move(first)},
                      {"logprobs", nullptr},
                      {"finish_reason", nullptr}});
  }
  const OwnedOutput& output = piece.output;
  std::vector<json::object> parts;
  for (const Part& part : output.parts) parts.push_back(DeltaOf(index, part));
  const bool is_silent =
      output.finish_reason.empty() && !options_.logprobs && !options_.return_token_ids;
  if (parts.empty() && !is_silent) parts.emplace_back();
  for (size_t i = 0; i < parts.size(); ++i) {
    json::object choice =
        Common(index, piece, /*with_tokens=*/i == 0, /*with_end=*/i + 1 == parts.size());
    if (has_full_chunks()) Complete(&parts[i]);
    choice["delta"] = std::move(parts[i]);
    deltas.push_back(std::move(choice));
  }
  return deltas;
}

void ChatAnswer::AddTopLevel(const Piece& first, json::object* response) {
  if (options_.return_token_ids && first.prompt_tokens != nullptr) {
    (*response)["prompt_token_ids"] = ToJson(first.prompt_tokens->ids);
  }
  if (options_.prompt_logprobs && first.prompt_tokens != nullptr) {
    (*response)["prompt_logprobs"] = PromptLogprobs(*first.prompt_tokens, texts_);
  }
}

json::object ChatAnswer::Common(size_t index, const Piece& piece, bool with_tokens, bool with_end) {
  json::object choice = {{"index", index}};
  choice["logprobs"] = nullptr;
  if (options_.logprobs && with_tokens) choice["logprobs"] = {{"content", Logprobs(piece.output)}};
  choice["finish_reason"] = with_end ? FinishReason(index, piece.output) : json::value();
  choice["stop_reason"] = with_end ? StopReason(piece.output) : json::value();
  if (options_.return_token_ids && with_tokens) choice["token_ids"] = ToJson(piece.output.tokens);
  return choice;
}

json::object ChatAnswer::TokenJson(int32_t token, float logprob) {
  const TokenText& found = texts_.Get(token);
  json::value bytes;  // null for what is no part of the content
  if (!found.special || options_.special_in_text) {
    json::array& list = bytes.emplace_array();
    for (const unsigned char c : found.bytes) list.emplace_back(c);
  }
  return {{"token", found.text}, {"logprob", FiniteLogprob(logprob)}, {"bytes", std::move(bytes)}};
}

json::array ChatAnswer::Logprobs(const OwnedOutput& output) {
  json::array content;
  for (size_t i = 0; i < output.logprobs.size(); ++i) {
    const OwnedLogprob& logprob = output.logprobs[i];
    json::object entry = TokenJson(output.tokens[i], logprob.logprob);
    json::array& top = entry["top_logprobs"].emplace_array();
    for (size_t k = 0; k < logprob.top_tokens.size(); ++k) {
      top.push_back(TokenJson(logprob.top_tokens[k], logprob.top_logprobs[k]));
    }
    content.push_back(std::move(entry));
  }
  return content;
}

}  // namespace keel::apps

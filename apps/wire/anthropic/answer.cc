#include "apps/wire/anthropic/answer.h"

#include <string_view>
#include <vector>

#include "apps/wire/anthropic/error.h"
#include "apps/wire/tools.h"
#include "boost/json/array.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

using Kind = Part::Kind;

void AppendEvent(std::string_view type, json::object data, std::string* events) {
  json::object event = {{"type", json::string_view(type.data(), type.size())}};
  for (auto& [name, value] : data) event[name] = std::move(value);
  events->append("event: ").append(type).append("\ndata: ");
  events->append(json::serialize(event)).append("\n\n");
}

// A block that is yet to be filled.
json::object EmptyBlock(const Part& part) {
  switch (part.kind) {
    case Kind::kText:
      return {{"type", "text"}, {"text", ""}};
    case Kind::kReasoning:
      return {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
    default:
      return {{"type", "tool_use"},
              {"id", NewToolCallId()},
              {"name", part.text},
              {"input", json::object()}};
  }
}

json::object Delta(const Part& part) {
  switch (part.kind) {
    case Kind::kText:
      return {{"type", "text_delta"}, {"text", part.text}};
    case Kind::kReasoning:
      return {{"type", "thinking_delta"}, {"thinking", part.text}};
    default:
      return {{"type", "input_json_delta"}, {"partial_json", part.text}};
  }
}

// A part goes on with the block that is open, unless it begins one.
bool Continues(const Part& part, const std::optional<Kind>& open) {
  if (!open.has_value() || part.kind == Kind::kToolName) return false;
  return part.kind == *open || (part.kind == Kind::kToolArguments && *open == Kind::kToolName);
}

// What a model wrote as arguments; what is no object stays visible as the text that it is.
json::value InputOf(const std::string& arguments) {
  boost::system::error_code error;
  json::value value = json::parse(arguments.empty() ? "{}" : arguments, error);
  if (!error && value.is_object()) return value;
  return {{"arguments", arguments}};
}

}  // namespace

json::object MessageAnswer::UsageJson() const {
  return {{"input_tokens", usage().prompt_tokens - usage().cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage().cached_tokens},
          {"output_tokens", usage().completion_tokens}};
}

json::object MessageAnswer::Message() const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model_},
          {"content", json::array()},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", UsageJson()}};
}

json::object MessageAnswer::Ending(const OwnedOutput& output) const {
  json::object ending = {{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}};
  if (output.finish_reason != "stop") {
    ending["stop_reason"] = "max_tokens";  // also of one that was aborted: it was cut short
  } else if (calls_tools_) {
    ending["stop_reason"] = "tool_use";
  } else if (!output.stop_reason.empty() && !output.stop_token.has_value()) {
    ending["stop_reason"] = "stop_sequence";
    ending["stop_sequence"] = output.stop_reason;
  }
  return ending;
}

std::string MessageAnswer::Body() {
  json::object message = Message();
  if (collected().empty()) return json::serialize(message);
  const OwnedOutput& output = collected().begin()->second.output;
  json::array& content = message["content"].get_array();
  std::string arguments;  // of the last block, a tool_use
  const auto end_call = [&] {
    if (open_ == Kind::kToolName) content.back().get_object()["input"] = InputOf(arguments);
    arguments.clear();
  };
  for (const Part& part : output.parts) {
    if (!Continues(part, open_)) {
      end_call();
      content.push_back(EmptyBlock(part));
      open_ = part.kind;
    }
    json::object& block = content.back().get_object();
    if (part.kind == Kind::kText) block["text"].get_string().append(part.text);
    if (part.kind == Kind::kReasoning) block["thinking"].get_string().append(part.text);
    if (part.kind == Kind::kToolArguments) arguments += part.text;
    calls_tools_ = calls_tools_ || part.kind == Kind::kToolName;
  }
  end_call();
  for (auto& [name, value] : Ending(output)) message[name] = value;
  return json::serialize(message);
}

void MessageAnswer::CloseBlock(std::string* events) {
  if (!open_.has_value()) return;
  AppendEvent("content_block_stop", {{"index", num_blocks_ - 1}}, events);
  open_.reset();
}

void MessageAnswer::AppendPart(const Part& part, std::string* events) {
  if (!Continues(part, open_)) {
    CloseBlock(events);
    AppendEvent("content_block_start",
                {{"index", num_blocks_++}, {"content_block", EmptyBlock(part)}}, events);
    open_ = part.kind;
  }
  calls_tools_ = calls_tools_ || part.kind == Kind::kToolName;
  if (part.kind == Kind::kToolName || part.text.empty()) return;
  AppendEvent("content_block_delta", {{"index", num_blocks_ - 1}, {"delta", Delta(part)}}, events);
}

void MessageAnswer::AppendPiece(const Piece& piece, std::string* events) {
  const OwnedOutput& output = piece.output;
  if (!begun_) {
    begun_ = true;
    AppendEvent("message_start", {{"message", Message()}}, events);
    AppendEvent("ping", {}, events);
  }
  for (const Part& part : output.parts) AppendPart(part, events);
  if (output.finish_reason.empty()) return;
  CloseBlock(events);
  AppendEvent("message_delta", {{"delta", Ending(output)}, {"usage", UsageJson()}}, events);
  AppendEvent("message_stop", {}, events);
}

void MessageAnswer::AppendError(const CallError& error, std::string* events) {
  AppendEvent("error", AnthropicError(error), events);
}

// The last piece said so.
void MessageAnswer::AppendLast(std::string*) {}

}  // namespace keel::apps

#include "apps/wire/openai/response_answer.h"

#include <chrono>
#include <utility>

#include "apps/common/request_id.h"
#include "apps/wire/openai/error.h"
#include "apps/wire/openai/response_store.h"
#include "apps/wire/tools.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

using Kind = Part::Kind;

int64_t SecondsSince1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool IsCall(Kind kind) { return kind == Kind::kToolName || kind == Kind::kToolArguments; }

json::object TextPart(Kind kind, const std::string& text) {
  if (kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", json::array()},
          {"logprobs", json::array()}};
}

json::object NewItem(const Part& part) {
  const std::string id = NewRequestId();
  if (IsCall(part.kind)) {
    return {{"id", "fc_" + id},           {"type", "function_call"}, {"status", "in_progress"},
            {"call_id", NewToolCallId()}, {"name", part.text},       {"arguments", ""}};
  }
  if (part.kind == Kind::kReasoning) {
    return {{"id", "rs_" + id},
            {"type", "reasoning"},
            {"status", "in_progress"},
            {"summary", json::array()},
            {"content", json::array()}};
  }
  return {{"id", "msg_" + id},
          {"type", "message"},
          {"status", "in_progress"},
          {"role", "assistant"},
          {"content", json::array()}};
}

// What the events of an item's text are called.
std::string EventOf(Kind kind, std::string_view what) {
  const char* name = IsCall(kind)               ? "response.function_call_arguments."
                     : kind == Kind::kReasoning ? "response.reasoning_text."
                                                : "response.output_text.";
  return name + std::string(what);
}

const char* StatusOf(const OwnedOutput& output) {
  return output.finish_reason == "stop" ? "completed" : "incomplete";
}

}  // namespace

ResponseAnswer::ResponseAnswer(ResponseOptions options)
    : options_(std::move(options)), created_(SecondsSince1970()) {}

void ResponseAnswer::Event(std::string_view type, json::object data, std::string* events) {
  if (events == nullptr) return;
  json::object event = {{"type", json::string_view(type.data(), type.size())},
                        {"sequence_number", num_events_++}};
  for (auto& [name, value] : data) event[name] = std::move(value);
  events->append("event: ").append(type).append("\ndata: ");
  events->append(json::serialize(event)).append("\n\n");
}

json::object ResponseAnswer::Response(std::string_view status) const {
  json::object response = {
      {"id", options_.id},       {"object", "response"},
      {"created_at", created_},  {"status", json::string_view(status.data(), status.size())},
      {"error", nullptr},        {"incomplete_details", nullptr},
      {"model", options_.model}, {"output", items_},
      {"usage", nullptr}};
  for (const auto& [name, value] : options_.echo) response[name] = value;
  if (status == "in_progress") return response;
  if (status == "incomplete") response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  response["usage"] = {{"input_tokens", usage().prompt_tokens},
                       {"input_tokens_details", {{"cached_tokens", usage().cached_tokens}}},
                       {"output_tokens", usage().completion_tokens},
                       {"output_tokens_details", {{"reasoning_tokens", usage().reasoning_tokens}}},
                       {"total_tokens", usage().prompt_tokens + usage().completion_tokens}};
  return response;
}

void ResponseAnswer::OpenItem(const Part& part, std::string* events) {
  items_.push_back(NewItem(part));
  open_ = part.kind == Kind::kToolArguments ? Kind::kToolName : part.kind;
  text_.clear();
  const size_t index = items_.size() - 1;
  Event("response.output_item.added", {{"output_index", index}, {"item", items_.back()}}, events);
  if (open_ != Kind::kText) return;
  Event("response.content_part.added",
        {{"item_id", items_.back().at("id")},
         {"output_index", index},
         {"content_index", 0},
         {"part", TextPart(*open_, "")}},
        events);
}

void ResponseAnswer::CloseItem(std::string* events) {
  if (!open_.has_value()) return;
  json::object& item = items_.back().get_object();
  json::object place = {{"item_id", item["id"]}, {"output_index", items_.size() - 1}};
  json::object done = place;
  item["status"] = "completed";
  if (IsCall(*open_)) {
    item["arguments"] = text_;
    done["name"] = item["name"];
    done["arguments"] = text_;
  } else {
    item["content"] = json::array({TextPart(*open_, text_)});
    place["content_index"] = done["content_index"] = 0;
    done["text"] = text_;
    if (*open_ == Kind::kText) done["logprobs"] = json::array();
  }
  Event(EventOf(*open_, "done"), std::move(done), events);
  if (*open_ == Kind::kText) {
    place["part"] = TextPart(*open_, text_);
    Event("response.content_part.done", std::move(place), events);
  }
  Event("response.output_item.done", {{"output_index", items_.size() - 1}, {"item", item}}, events);
  open_.reset();
}

void ResponseAnswer::TakePart(const Part& part, std::string* events) {
  const bool goes_on = open_.has_value() && part.kind != Kind::kToolName &&
                       (IsCall(part.kind) ? IsCall(*open_) : part.kind == *open_);
  if (!goes_on) {
    CloseItem(events);
    OpenItem(part, events);
  }
  if (part.kind == Kind::kToolName || part.text.empty()) return;
  text_ += part.text;
  json::object delta = {{"item_id", items_.back().at("id")},
                        {"output_index", items_.size() - 1},
                        {"delta", part.text}};
  if (!IsCall(part.kind)) delta["content_index"] = 0;
  if (part.kind == Kind::kText) delta["logprobs"] = json::array();
  Event(EventOf(part.kind, "delta"), std::move(delta), events);
}

void ResponseAnswer::Take(const OwnedOutput& output, std::string* events) {
  for (const Part& part : output.parts) TakePart(part, events);
  if (output.finish_reason.empty()) return;
  CloseItem(events);
}

json::object ResponseAnswer::Message() const {
  json::object message = {{"role", "assistant"}, {"content", ""}};
  for (const json::value& item : items_) {
    const json::object& object = item.get_object();
    if (object.at("type") == "message") {
      message["content"].get_string().append(object.at("content").at(0).at("text").get_string());
    } else if (object.at("type") == "function_call") {
      boost::system::error_code error;
      json::value arguments = json::parse(object.at("arguments").get_string(), error);
      if (error || !arguments.is_object()) arguments = object.at("arguments");
      json::value& calls = message["tool_calls"];
      if (!calls.is_array()) calls.emplace_array();
      calls.get_array().push_back(
          {{"id", object.at("call_id")},
           {"type", "function"},
           {"function", {{"name", object.at("name")}, {"arguments", std::move(arguments)}}}});
    }
  }
  return message;
}

void ResponseAnswer::Keep(const json::object& response) {
  if (!options_.keep) return;
  json::array messages = options_.messages;
  messages.push_back(Message());
  ResponseStore::OfServer().Put(
      options_.id, {.messages = json::serialize(messages), .body = json::serialize(response)});
}

std::string ResponseAnswer::Body() {
  if (collected().empty()) return json::serialize(Response("incomplete"));
  const OwnedOutput& output = collected().begin()->second.output;
  Take(output, nullptr);
  const json::object response = Response(StatusOf(output));
  Keep(response);
  return json::serialize(response);
}

void ResponseAnswer::AppendPiece(const Piece& piece, std::string* events) {
  if (num_events_ == 0) {
    for (const char* type : {"response.created", "response.in_progress"})
      Event(type, {{"response", Response("in_progress")}}, events);
  }
  Take(piece.output, events);
  if (piece.output.finish_reason.empty()) return;
  const std::string status = StatusOf(piece.output);
  json::object response = Response(status);
  Keep(response);
  Event("response." + status, {{"response", std::move(response)}}, events);
}

void ResponseAnswer::AppendError(const CallError& error, std::string* events) {
  json::object response = Response("failed");
  response["error"] = {{"code", "server_error"}, {"message", error.message}};
  Event("response.failed", {{"response", std::move(response)}}, events);
}

// The last event said so.
void ResponseAnswer::AppendLast(std::string*) {}

}  // namespace keel::apps

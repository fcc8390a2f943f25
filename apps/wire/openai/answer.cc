#include "apps/wire/openai/answer.h"

#include <chrono>
#include <utility>

#include "apps/wire/openai/error.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

int64_t SecondsSince1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void AppendEvent(const json::object& data, std::string* events) {
  events->append("data: ").append(json::serialize(data)).append("\n\n");
}

// text-generation's client wants one.
std::string Fingerprint() { return std::string("keel-") + keel_version(); }

}  // namespace

OpenAiAnswer::OpenAiAnswer(OpenAiAnswerOptions options)
    : options_(std::move(options)), created_(SecondsSince1970()) {}

json::object OpenAiAnswer::Head(std::string_view object) const {
  return {{"id", options_.id},
          {"object", json::string_view(object.data(), object.size())},
          {"created", created_},
          {"model", options_.model}};
}

json::object OpenAiAnswer::ChunkHead() const {
  json::object head = Head(chunk_object());
  if (has_full_chunks()) head["system_fingerprint"] = Fingerprint();
  return head;
}

json::object OpenAiAnswer::UsageJson() const {
  return {{"prompt_tokens", usage().prompt_tokens},
          {"completion_tokens", usage().completion_tokens},
          {"total_tokens", usage().prompt_tokens + usage().completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage().cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage().reasoning_tokens}}}};
}

std::string OpenAiAnswer::Body() {
  json::object response = Head(object());
  json::array& choices = response["choices"].emplace_array();
  for (const auto& [id, whole] : collected()) choices.push_back(Choice(ChoiceIndex(whole), whole));
  response["usage"] = UsageJson();
  response["system_fingerprint"] = Fingerprint();
  if (!collected().empty()) AddTopLevel(collected().begin()->second, &response);
  return json::serialize(response);
}

void OpenAiAnswer::AppendPiece(const Piece& piece, std::string* events) {
  for (json::object& choice : Deltas(ChoiceIndex(piece), piece)) {
    json::object chunk = ChunkHead();
    chunk["choices"] = json::array({std::move(choice)});
    if (options_.continuous_usage_stats) chunk["usage"] = UsageJson();
    if (piece.prompt_tokens != nullptr) AddTopLevel(piece, &chunk);
    AppendEvent(chunk, events);
  }
}

void OpenAiAnswer::AppendError(const CallError& error, std::string* events) {
  AppendEvent(OpenAiError(error), events);
}

void OpenAiAnswer::AppendLast(std::string* events) {
  if (options_.include_usage && !error().has_value()) {
    json::object chunk = ChunkHead();
    chunk["choices"] = json::array();
    chunk["usage"] = UsageJson();
    AppendEvent(chunk, events);
  }
  events->append("data: [DONE]\n\n");
}

json::value TextOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::value(text);
}

json::array ToJson(const std::vector<int32_t>& ids) { return json::array(ids.begin(), ids.end()); }

json::value StopReason(const OwnedOutput& output) {
  if (output.stop_token.has_value()) return *output.stop_token;
  return TextOrNull(output.stop_reason);
}

}  // namespace keel::apps

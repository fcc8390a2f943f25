#include "apps/common/answer.h"

#include <chrono>
#include <cmath>
#include <utility>

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

}  // namespace

Answer::Answer(Call call, std::string_view request_id)
    : call_(std::move(call)),
      id_(std::string(call_.format->id_prefix()) + std::string(request_id)),
      created_(SecondsSince1970()) {}

void Answer::Count(const Piece& piece) {
  usage_.completion_tokens += piece.output.tokens.size();
  // The n sequences of a prompt share it.
  if (piece.prompt_tokens != nullptr && piece.output.index == 0) {
    usage_.prompt_tokens += piece.output.prompt_tokens;
    usage_.cached_tokens += piece.output.cached_tokens;
  }
  if (!piece.output.status.ok() && !error_.has_value()) {
    error_ = FromEngine(piece.output.status);
  }
}

json::object Answer::Head(std::string_view object) const {
  return {{"id", id_},
          {"object", json::string_view(object.data(), object.size())},
          {"created", created_},
          {"model", call_.model}};
}

json::object Answer::UsageJson() const {
  return {{"prompt_tokens", usage_.prompt_tokens},
          {"completion_tokens", usage_.completion_tokens},
          {"total_tokens", usage_.prompt_tokens + usage_.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage_.cached_tokens}}}};
}

void Answer::Collect(Piece piece) {
  Count(piece);
  const size_t index = ChoiceIndex(piece);
  auto [it, is_new] = choices_.try_emplace(index);
  if (is_new) {
    it->second = std::move(piece);
  } else {
    it->second.output.Append(std::move(piece.output));
  }
}

std::string Answer::Body() {
  json::object response = Head(call_.format->object());
  json::array& choices = response["choices"].emplace_array();
  for (const auto& [index, whole] : choices_) {
    choices.push_back(call_.format->Choice(index, whole));
  }
  response["usage"] = UsageJson();
  if (!choices_.empty()) call_.format->AddTopLevel(choices_.begin()->second, &response);
  return json::serialize(response);
}

void Answer::AppendEvents(Piece piece, std::string* events) {
  if (error_.has_value()) return;  // it was the last event
  Count(piece);
  if (error_.has_value()) {
    AppendEvent(ToJson(*error_), events);
    return;
  }
  for (json::object& choice : call_.format->Deltas(ChoiceIndex(piece), piece)) {
    json::object chunk = Head(call_.format->chunk_object());
    chunk["choices"] = json::array({std::move(choice)});
    if (call_.continuous_usage_stats) chunk["usage"] = UsageJson();
    if (piece.prompt_tokens != nullptr) call_.format->AddTopLevel(piece, &chunk);
    AppendEvent(chunk, events);
  }
}

void Answer::AppendEnd(std::string* events) {
  if (call_.include_usage && !error_.has_value()) {
    json::object chunk = Head(call_.format->chunk_object());
    chunk["choices"] = json::array();
    chunk["usage"] = UsageJson();
    AppendEvent(chunk, events);
  }
  events->append("data: [DONE]\n\n");
}

const std::string& TokenTexts::Text(int32_t id) {
  auto [it, is_new] = texts_.try_emplace(id);
  if (is_new) {
    Result<std::string> text = engine_.Detokenize({&id, 1}, /*skip_special_tokens=*/false);
    it->second = text.ok() ? *std::move(text) : "token_id:" + std::to_string(id);
  }
  return it->second;
}

double FiniteLogprob(float logprob) {
  constexpr double kLowest = -9999;  // OpenAI's stand-in for minus infinity
  return std::isfinite(logprob) ? static_cast<double>(logprob) : kLowest;
}

json::value TextOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::value(text);
}

json::array ToJson(const std::vector<int32_t>& ids) { return json::array(ids.begin(), ids.end()); }

json::value StopReason(const OwnedOutput& output) {
  const std::string& reason = output.stop_reason;
  if (!output.tokens.empty() && reason == std::to_string(output.tokens.back())) {
    return output.tokens.back();
  }
  return TextOrNull(reason);
}

}  // namespace keel::apps

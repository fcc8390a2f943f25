#include "apps/chat/chat_session.h"

#include <utility>

#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

json::object Message(std::string_view role, std::string_view content) {
  return {{"role", json::string_view(role.data(), role.size())},
          {"content", json::string_view(content.data(), content.size())}};
}

}  // namespace

Result<ChatSession::End> ChatSession::Say(std::string_view text, const OnText& on_text) {
  turns_.push_back(Message("user", text));
  const Result<Request> request = NewRequest();
  std::string answer;
  const Result<End> end = request.ok() ? Run(*request, on_text, &answer) : request.status();
  if (!end.ok() || answer.empty()) {
    turns_.pop_back();
  } else {
    turns_.push_back(Message("assistant", answer));
  }
  return end;
}

Result<ChatSession::End> ChatSession::Regenerate(const OnText& on_text) {
  if (turns_.size() < 2) {
    return Status(Code::kFailedPrecondition, "there is no answer yet to give once more");
  }
  json::value old_answer = std::move(turns_.back());
  turns_.pop_back();
  const Result<Request> request = NewRequest();
  std::string answer;
  Result<End> end = request.ok() ? Run(*request, on_text, &answer) : request.status();
  if (end.ok() && !answer.empty()) {
    turns_.push_back(Message("assistant", answer));
  } else {
    turns_.push_back(std::move(old_answer));
  }
  return end;
}

Result<Request> ChatSession::NewRequest() const {
  Request request;
  Status status;
  const auto keep = [&](Status next) {
    if (status.ok()) status = std::move(next);
  };
  json::array messages;
  if (!options_.system.empty()) messages.push_back(Message("system", options_.system));
  messages.insert(messages.end(), turns_.begin(), turns_.end());
  keep(request.SetMessages(json::serialize(messages)));
  const auto set_float = [&](const char* name, const std::optional<double>& value) {
    if (value.has_value()) keep(request.SetFloat(name, *value));
  };
  const auto set_int = [&](const char* name, const std::optional<int64_t>& value) {
    if (value.has_value()) keep(request.SetInt(name, *value));
  };
  set_float("temperature", options_.temperature);
  set_float("top_p", options_.top_p);
  set_float("repetition_penalty", options_.repetition_penalty);
  set_int("top_k", options_.top_k);
  set_int("max_tokens", options_.max_tokens);
  set_int("seed", options_.seed);
  if (!status.ok()) return status;
  return request;
}

Result<ChatSession::End> ChatSession::Run(const Request& request, const OnText& on_text,
                                          std::string* answer) {
  constexpr int64_t kLookAtStopMs = 50;
  const Result<uint64_t> id = engine_.Submit(request);
  if (!id.ok()) return id.status();
  bool is_cancelled = false;
  while (true) {
    if (stop_ && !is_cancelled) {
      is_cancelled = true;
      // NOT_FOUND is no news: it has just ended.
      [[maybe_unused]] const Status status = engine_.Cancel(*id);
    }
    const Result<Output> output = engine_.Poll(*id, kLookAtStopMs);
    if (!output.ok()) {
      if (output.status().code() == Code::kDeadlineExceeded) continue;
      return output.status();
    }
    if (!output->text().empty()) {
      answer->append(output->text());
      on_text(output->text());
    }
    if (!output->is_last()) continue;
    if (Status status = output->status(); !status.ok()) return status;
    if (output->finish_reason() == "length") return End::kCutByLength;
    if (output->finish_reason() != "abort") return End::kComplete;
    if (is_cancelled) return End::kStopped;
    return Status(Code::kInternal, "the engine ended the answer");
  }
}

}  // namespace keel::apps

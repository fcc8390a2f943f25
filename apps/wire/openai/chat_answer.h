// The answers of POST /v1/chat/completions.
#ifndef KEEL_APPS_WIRE_OPENAI_CHAT_ANSWER_H_
#define KEEL_APPS_WIRE_OPENAI_CHAT_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/wire/openai/answer.h"
#include "apps/wire/token_texts.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"

namespace keel::apps {

struct ChatAnswerOptions {
  bool logprobs = false;
  bool prompt_logprobs = false;
  bool return_token_ids = false;
  bool tokens_as_ids = false;
  bool special_in_text = false;  // skip_special_tokens is false
  bool names_tool = false;       // the call was asked for by name, and is no reason to stop
};

class ChatAnswer : public OpenAiAnswer {
 public:
  // `engine` must outlive it.
  ChatAnswer(const Engine& engine, OpenAiAnswerOptions common, ChatAnswerOptions options)
      : OpenAiAnswer(std::move(common)), options_(options), texts_(engine, options.tokens_as_ids) {}

 private:
  std::string_view object() const override { return "chat.completion"; }
  std::string_view chunk_object() const override { return "chat.completion.chunk"; }
  boost::json::object Choice(size_t index, const Piece& whole) override;
  std::vector<boost::json::object> Deltas(size_t index, const Piece& piece) override;
  void AddTopLevel(const Piece& first, boost::json::object* response) override;

  boost::json::object DeltaOf(size_t index, const Part& part);
  // Beside the message or the delta; of a piece's chunks only the last says how it ended.
  boost::json::object Common(size_t index, const Piece& piece, bool with_tokens, bool with_end);
  boost::json::value FinishReason(size_t index, const OwnedOutput& output) const;
  boost::json::object TokenJson(int32_t token, float logprob);
  boost::json::array Logprobs(const OwnedOutput& output);

  const ChatAnswerOptions options_;
  TokenTexts texts_;
  std::map<size_t, size_t> num_calls_;  // of tools, by choice
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_CHAT_ANSWER_H_

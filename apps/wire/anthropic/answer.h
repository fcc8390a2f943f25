// The answers of POST /v1/messages and POST /v1/messages/count_tokens.
#ifndef KEEL_APPS_WIRE_ANTHROPIC_ANSWER_H_
#define KEEL_APPS_WIRE_ANTHROPIC_ANSWER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "apps/wire/answer.h"
#include "boost/json/object.hpp"

namespace keel::apps {

class MessageAnswer : public Answer {
 public:
  MessageAnswer(std::string id, std::string model) : id_(std::move(id)), model_(std::move(model)) {}

  std::string Body() override;

 private:
  void AppendPiece(const Piece& piece, std::string* events) override;
  void AppendError(const CallError& error, std::string* events) override;
  void AppendLast(std::string* events) override;

  boost::json::object Message() const;
  boost::json::object UsageJson() const;
  // {"stop_reason", "stop_sequence"}
  boost::json::object Ending(const OwnedOutput& output) const;
  void AppendPart(const Part& part, std::string* events);
  void CloseBlock(std::string* events);

  const std::string id_, model_;
  // Of a stream.
  bool begun_ = false;
  bool calls_tools_ = false;
  size_t num_blocks_ = 0;
  std::optional<Part::Kind> open_;  // the last block's, while it is open
};

class TokenCountAnswer : public Answer {
 public:
  explicit TokenCountAnswer(size_t tokens) : tokens_(tokens) {}

  std::string Body() override { return "{\"input_tokens\":" + std::to_string(tokens_) + "}"; }

 private:
  void AppendPiece(const Piece&, std::string*) override {}
  void AppendError(const CallError&, std::string*) override {}
  void AppendLast(std::string*) override {}

  const size_t tokens_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_ANTHROPIC_ANSWER_H_

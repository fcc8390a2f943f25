// The answers of POST /v1/responses.
#ifndef KEEL_APPS_WIRE_OPENAI_RESPONSE_ANSWER_H_
#define KEEL_APPS_WIRE_OPENAI_RESPONSE_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apps/wire/answer.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"

namespace keel::apps {

struct ResponseOptions {
  std::string id;               // "resp_..."
  std::string model;            // the name to answer with
  bool keep = true;             // for a later call's previous_response_id
  boost::json::object echo;     // fields of the request that the response repeats
  boost::json::array messages;  // of the conversation so far, as chat templates take them
};

// Makes items of what comes: reasoning, messages, function calls. A stream says of each how it begins,
// grows and ends; a whole response is what a stream ends with.
class ResponseAnswer : public Answer {
 public:
  explicit ResponseAnswer(ResponseOptions options);

  std::string Body() override;

 private:
  void AppendPiece(const Piece& piece, std::string* events) override;
  void AppendError(const CallError& error, std::string* events) override;
  void AppendLast(std::string* events) override;

  // `events` null: nobody is told.
  void Event(std::string_view type, boost::json::object data, std::string* events);
  void Take(const OwnedOutput& output, std::string* events);
  void TakePart(const Part& part, std::string* events);
  void OpenItem(const Part& part, std::string* events);
  void CloseItem(std::string* events);
  boost::json::object Response(std::string_view status) const;
  // The answer as a message of the conversation.
  boost::json::object Message() const;
  void Keep(const boost::json::object& response);

  const ResponseOptions options_;
  const int64_t created_;
  int64_t num_events_ = 0;
  boost::json::array items_;
  std::optional<Part::Kind> open_;  // the last item's, while it is open
  std::string text_;                // of the open item
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_RESPONSE_ANSWER_H_

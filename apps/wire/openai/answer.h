// What the answers of OpenAI's endpoints have in common; what differs are objects and choices.
#ifndef KEEL_APPS_WIRE_OPENAI_ANSWER_H_
#define KEEL_APPS_WIRE_OPENAI_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/wire/answer.h"
#include "boost/json/object.hpp"
#include "boost/json/value.hpp"

namespace keel::apps {

struct OpenAiAnswerOptions {
  std::string id;                       // "chatcmpl-17"
  std::string model;                    // the name to answer with
  size_t n = 1;                         // sequences of each prompt
  bool include_usage = false;           // one more chunk with the usage
  bool continuous_usage_stats = false;  // the usage so far in every chunk
  bool has_full_chunks = false;         // all in every chunk that its client looks for
};

class OpenAiAnswer : public Answer {
 public:
  std::string Body() override;

 protected:
  explicit OpenAiAnswer(OpenAiAnswerOptions options);

  size_t n() const { return options_.n; }
  bool has_full_chunks() const { return options_.has_full_chunks; }

  virtual std::string_view object() const = 0;
  virtual std::string_view chunk_object() const = 0;
  // All of choice `index`; `whole` is what its pieces make together.
  virtual boost::json::object Choice(size_t index, const Piece& whole) = 0;
  // The chunks' choices for a piece of choice `index`; none if there is nothing to say.
  virtual std::vector<boost::json::object> Deltas(size_t index, const Piece& piece) = 0;
  // Fields beside "choices" that come from a choice's first piece.
  virtual void AddTopLevel(const Piece& /*first*/, boost::json::object* /*response*/) {}

 private:
  void AppendPiece(const Piece& piece, std::string* events) override;
  void AppendError(const CallError& error, std::string* events) override;
  void AppendLast(std::string* events) override;

  boost::json::object Head(std::string_view object) const;
  boost::json::object ChunkHead() const;
  boost::json::object UsageJson() const;
  size_t ChoiceIndex(const Piece& piece) const {
    return piece.prompt * options_.n + piece.output.index;
  }

  const OpenAiAnswerOptions options_;
  const int64_t created_;
};

// Null for an empty text.
boost::json::value TextOrNull(const std::string& text);
boost::json::array ToJson(const std::vector<int32_t>& ids);
// The "stop_reason" of vLLM: the stop string, the number of the stop token, or null.
boost::json::value StopReason(const OwnedOutput& output);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_ANSWER_H_

// The answers of POST /generate and POST /generate_stream.
#ifndef KEEL_APPS_WIRE_TGI_ANSWER_H_
#define KEEL_APPS_WIRE_TGI_ANSWER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/wire/answer.h"
#include "apps/wire/token_texts.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"

namespace keel::apps {

struct TgiAnswerOptions {
  bool details = false;
  bool prefill = false;     // details of the prompt's tokens
  bool top_tokens = false;  // alternatives of each token
  bool in_list = false;     // the object comes in a list of one
  std::string prefix;       // what the generated text begins with: the prompt, or nothing
  std::optional<int64_t> seed;
};

class TgiAnswer : public Answer {
 public:
  // `engine` must outlive it.
  TgiAnswer(const Engine& engine, TgiAnswerOptions options)
      : options_(std::move(options)), texts_(engine) {}

  std::string Body() override;

 private:
  void AppendPiece(const Piece& piece, std::string* events) override;
  void AppendError(const CallError& error, std::string* events) override;
  void AppendLast(std::string*) override {}  // no mark of the end

  // `text` unset: the token's own.
  boost::json::object Token(int32_t id, const OwnedLogprob* logprob,
                            std::optional<std::string> text = {});
  std::vector<std::string> TokenTextsOf(const OwnedOutput& output);
  boost::json::array TopTokens(const OwnedLogprob& logprob);
  boost::json::object Details(const Piece& whole);
  boost::json::object Sequence(const Piece& whole);

  const TgiAnswerOptions options_;
  TokenTexts texts_;
  // Of a stream, so far.
  std::string text_;
  int64_t num_tokens_ = 0;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TGI_ANSWER_H_

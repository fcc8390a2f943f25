// The answers of SGLang's POST /generate.
#ifndef KEEL_APPS_WIRE_SGLANG_ANSWER_H_
#define KEEL_APPS_WIRE_SGLANG_ANSWER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "apps/wire/answer.h"
#include "apps/wire/token_texts.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/value.hpp"

namespace keel::apps {

struct SglangPromptOptions {
  std::string id;
  int64_t n = 1;               // sequences
  bool logprobs = false;       // wanted at all
  bool top_logprobs = false;   // and of alternatives
  int64_t logprob_start = -1;  // first prompt token that has one; -1: only the answer's have
};

struct SglangAnswerOptions {
  std::vector<SglangPromptOptions> prompts;
  bool in_list = false;            // the answer is a list: of several prompts or sequences
  bool texts_in_logprobs = false;  // beside the ids
  bool prompt_token_ids = false;
  bool incremental = false;  // an event's text and ids are what is new, not all so far
};

class SglangAnswer : public Answer {
 public:
  // `engine` must outlive it.
  SglangAnswer(const Engine& engine, SglangAnswerOptions options)
      : options_(std::move(options)), texts_(engine) {}

  std::string Body() override;

 private:
  void AppendPiece(const Piece& piece, std::string* events) override;
  void AppendError(const CallError& error, std::string* events) override;
  void AppendLast(std::string* events) override;

  boost::json::object Sequence(const Piece& whole);
  boost::json::object MetaInfo(const Piece& whole);
  void AddLogprobs(const Piece& whole, boost::json::object* meta);
  boost::json::array Triple(int32_t token, boost::json::value logprob);
  boost::json::value TopTriples(const OwnedLogprob& logprob);
  // Of all prompts, in order.
  size_t IndexOf(const Piece& piece) const;

  const SglangAnswerOptions options_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  TokenTexts texts_;
  std::map<SequenceId, Piece> so_far_;  // of a stream, whose events repeat all that came
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_SGLANG_ANSWER_H_

// What every dialect gets from Answer, shown on one that is not OpenAI's.
#include "apps/wire/answer.h"

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

// A line a piece.
class LineAnswer : public Answer {
 public:
  std::string Body() override {
    std::string body;
    for (const auto& [id, whole] : collected()) body += whole.output.text + "\n";
    return body;
  }

 private:
  void AppendPiece(const Piece& piece, std::string* events) override {
    *events += piece.output.text + "\n";
  }
  void AppendError(const CallError& error, std::string* events) override {
    *events += "error: " + error.message + "\n";
  }
  void AppendLast(std::string* events) override { *events += "end\n"; }
};

Piece NewPiece(size_t prompt, uint32_t index, const std::string& text, bool is_first = true) {
  Piece piece{.prompt = prompt, .output = {}, .prompt_tokens = nullptr};
  piece.output.index = index;
  piece.output.text = text;
  piece.output.tokens.assign(text.size(), 7);
  piece.output.prompt_tokens = 10;
  if (is_first) piece.prompt_tokens = std::make_shared<PromptTokens>();
  return piece;
}

TEST(AnswerTest, CollectedPiecesStandInTheOrderOfPromptsAndSequences) {
  LineAnswer answer;
  answer.Collect(NewPiece(1, 0, "c"));
  answer.Collect(NewPiece(0, 1, "b"));
  answer.Collect(NewPiece(0, 0, "a"));
  answer.Collect(NewPiece(0, 0, "aa", /*is_first=*/false));
  EXPECT_EQ(answer.Body(), "aaa\nb\nc\n");
  EXPECT_EQ(answer.usage().prompt_tokens, 20U);  // one prompt counts once
  EXPECT_EQ(answer.usage().completion_tokens, 5U);
}

TEST(AnswerTest, NothingButTheEndFollowsAnError) {
  LineAnswer answer;
  std::string events;
  answer.AppendEvents(NewPiece(0, 0, "a"), &events);
  answer.Fail({.code = ErrorCode::kUnavailable, .message = "the server ends"}, &events);
  answer.Fail({.message = "another"}, &events);
  answer.AppendEvents(NewPiece(0, 0, "late"), &events);
  answer.AppendEnd(&events);
  EXPECT_EQ(events, "a\nerror: the server ends\nend\n");
  EXPECT_EQ(answer.error()->code, ErrorCode::kUnavailable);
}

TEST(AnswerTest, TheEnginesErrorIsTheAnswers) {
  LineAnswer answer;
  std::string events;
  Piece failed = NewPiece(0, 0, "");
  failed.output.status = Status(Code::kInternal, "the step failed");
  answer.AppendEvents(failed, &events);
  EXPECT_EQ(events, "error: the step failed\n");
  EXPECT_EQ(answer.error()->code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace keel::apps

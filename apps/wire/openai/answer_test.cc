#include "apps/wire/openai/answer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/wire/run_call.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Answers of texts alone.
class TextAnswer : public OpenAiAnswer {
 public:
  explicit TextAnswer(OpenAiAnswerOptions options) : OpenAiAnswer(std::move(options)) {}

 private:
  std::string_view object() const override { return "text"; }
  std::string_view chunk_object() const override { return "text.chunk"; }
  json::object Choice(size_t index, const Piece& whole) override {
    return {{"index", index}, {"text", whole.output.text}};
  }
  std::vector<json::object> Deltas(size_t index, const Piece& piece) override {
    if (piece.output.text.empty()) return {};
    return {Choice(index, piece)};
  }
};

OpenAiAnswerOptions Options(size_t n = 1) { return {.id = "t-17", .model = "m", .n = n}; }

// The first piece of a sequence says the prompt's length.
Piece NewPiece(size_t prompt, uint32_t index, const std::string& text, bool is_first = true) {
  Piece piece{.prompt = prompt, .output = {}, .prompt_tokens = nullptr};
  piece.output.index = index;
  piece.output.text = text;
  piece.output.tokens.assign(text.size(), 7);
  piece.output.prompt_tokens = 10;
  piece.output.reasoning_tokens = 1;
  piece.output.cached_tokens = 4;
  if (is_first) piece.prompt_tokens = std::make_shared<PromptTokens>();
  return piece;
}

TEST(OpenAiAnswerTest, PiecesBecomeOneBody) {
  TextAnswer answer(Options(/*n=*/2));
  answer.Collect(NewPiece(1, 0, "c"));
  answer.Collect(NewPiece(0, 1, "b"));
  answer.Collect(NewPiece(0, 0, "a"));
  answer.Collect(NewPiece(1, 1, "d"));
  answer.Collect(NewPiece(0, 0, "aa", /*is_first=*/false));
  const json::value body = json::parse(answer.Body());
  EXPECT_EQ(body.at("id"), "t-17");
  EXPECT_EQ(body.at("object"), "text");
  EXPECT_EQ(body.at("model"), "m");
  EXPECT_GT(body.at("created").as_int64(), 1'000'000'000);
  // In the order of prompts, then of a prompt's sequences; a prompt counts once.
  EXPECT_EQ(body.at("choices"), json::parse(R"([{"index":0,"text":"aaa"},{"index":1,"text":"b"},
                                                {"index":2,"text":"c"},{"index":3,"text":"d"}])"));
  EXPECT_EQ(body.at("usage"), json::parse(R"({"prompt_tokens":20,"completion_tokens":6,
      "total_tokens":26,"prompt_tokens_details":{"cached_tokens":8},
      "completion_tokens_details":{"reasoning_tokens":5}})"));
}

TEST(OpenAiAnswerTest, EventsEndWithDone) {
  TextAnswer answer(Options());
  std::string events;
  answer.AppendEvents(NewPiece(0, 0, "a"), &events);
  answer.AppendEvents(NewPiece(0, 0, "", false), &events);  // nothing to say
  answer.AppendEvents(NewPiece(0, 0, "b", false), &events);
  answer.AppendEnd(&events);
  const auto all = ParseEvents(events);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].at("object"), "text.chunk");
  EXPECT_EQ(all[1].at("choices"), json::parse(R"([{"index":0,"text":"b"}])"));
  EXPECT_FALSE(all[0].as_object().contains("usage"));
  EXPECT_EQ(all[2], "[DONE]");
}

TEST(OpenAiAnswerTest, UsageComesInItsOwnChunkOrInEach) {
  OpenAiAnswerOptions options = Options();
  options.include_usage = true;
  options.continuous_usage_stats = true;
  TextAnswer answer(options);
  std::string events;
  answer.AppendEvents(NewPiece(0, 0, "a"), &events);
  answer.AppendEnd(&events);
  const auto all = ParseEvents(events);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].at("usage").at("completion_tokens"), 1);
  EXPECT_TRUE(all[1].at("choices").as_array().empty());
  EXPECT_EQ(all[1].at("usage").at("total_tokens"), 11);
}

// Clients stop at a data object with "error".
TEST(OpenAiAnswerTest, AnErrorIsTheLastEvent) {
  TextAnswer answer(Options());
  std::string events;
  answer.AppendEvents(NewPiece(0, 0, "a"), &events);
  Piece failed = NewPiece(0, 0, "", false);
  failed.output.status = Status(Code::kInternal, "the step failed");
  answer.AppendEvents(failed, &events);
  answer.AppendEvents(NewPiece(0, 0, "late", false), &events);
  answer.AppendEnd(&events);
  const auto all = ParseEvents(events);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].at("error").at("message"), "the step failed");
  EXPECT_EQ(all[1].at("error").at("type"), "server_error");
  EXPECT_EQ(all[2], "[DONE]");
  EXPECT_EQ(answer.error()->code, ErrorCode::kInternal);
}

TEST(OpenAiAnswerTest, AnEmptyTextIsNull) { EXPECT_TRUE(TextOrNull("").is_null()); }

TEST(OpenAiAnswerTest, TheReasonToStopIsATextOrANumber) {
  OwnedOutput output;
  EXPECT_TRUE(StopReason(output).is_null());
  output.tokens = {5, 42};
  output.stop_reason = "42";
  EXPECT_EQ(StopReason(output), "42");  // a stop string
  output.stop_token = 42;
  EXPECT_EQ(StopReason(output), 42);
  output.stop_token.reset();
  output.stop_reason = "END";
  EXPECT_EQ(StopReason(output), "END");
}

}  // namespace
}  // namespace keel::apps

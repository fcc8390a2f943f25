#include "apps/chat/chat.h"

#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The fake engine answers with the last message's text.
class ChatTest : public ::testing::Test {
 protected:
  bool Run(const std::string& input, ChatOptions chat_options = {}, bool has_colours = false) {
    auto engine = Engine::Create(options_);
    EXPECT_TRUE(engine.ok());
    ChatSession session(*engine, std::move(chat_options), stop_);
    std::istringstream in(input);
    PlainLines lines(in);
    std::ostringstream out, err;
    const bool all = RunChat(session, lines, out, err, has_colours, stop_);
    out_ = out.str();
    err_ = err.str();
    return all;
  }

  Options options_;
  std::atomic<bool> stop_ = false;
  std::string out_, err_;
};

TEST_F(ChatTest, EachLineIsATurn) {
  EXPECT_TRUE(Run("Define: river\n\n  \nAnd a lake?\r\nthe end"));
  EXPECT_EQ(out_, "Define: river\nAnd a lake?\nthe end\n");
  EXPECT_EQ(err_, "");
}

TEST_F(ChatTest, CommandsAreObeyed) {
  EXPECT_TRUE(Run("/help\nhi\n/regenerate\n/system Be brief.\n/system\n/clear\n/exit\nnot read\n"));
  EXPECT_EQ(out_, "hi\nhi\n");
  EXPECT_THAT(err_, HasSubstr("/regenerate      answer the last question once more"));
  EXPECT_THAT(err_, HasSubstr("system: Be brief.\nsystem: Be brief.\na new conversation\n"));
}

TEST_F(ChatTest, WhatIsNoCommandIsSaid) {
  EXPECT_FALSE(Run("/halp\n/regenerate\n"));
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_,
            "unknown command /halp; did you mean /help?\n"
            "there is no answer yet to give once more\n");
  EXPECT_TRUE(Run("/usr/lib is what?\n/ too\n"));
  EXPECT_EQ(out_, "/usr/lib is what?\n/ too\n");
}

TEST_F(ChatTest, RefusalsAndFailuresLeaveTheConversationAsItWas) {
  ASSERT_TRUE(options_.Set("max-model-len", "40").ok());
  // The prompt is "user: ...\nassistant: ...\n" of all turns, a token a byte.
  EXPECT_FALSE(Run("a turn that is much too long for this context\nhi\n"));
  EXPECT_EQ(out_, "hi\n");
  EXPECT_THAT(err_, HasSubstr("tokens, the context holds 40; shorten the prompt"));

  options_ = Options();
  EXPECT_FALSE(Run("[fail]\nhi\n"));
  EXPECT_EQ(out_, "[fa\nhi\n");
  EXPECT_EQ(err_, "the step failed\n");
}

TEST_F(ChatTest, TheConversationGrowsAndIsCleared) {
  ASSERT_TRUE(options_.Set("max-model-len", "60").ok());
  const std::string turn = "twelve bytes\n";
  EXPECT_FALSE(Run(turn + turn));
  EXPECT_THAT(err_, HasSubstr("the context holds 60"));
  EXPECT_TRUE(Run(turn + "/clear\n" + turn));
}

TEST_F(ChatTest, OptionsReachTheEngine) {
  EXPECT_TRUE(Run("a long answer\n", {.max_tokens = 6}));
  EXPECT_EQ(out_, "a long\n");
  EXPECT_THAT(err_, HasSubstr("cut: --max-tokens"));
  EXPECT_FALSE(Run("hi\n", {.temperature = -1}));
  EXPECT_EQ(err_, "temperature is negative, expected at least 0\n");
}

TEST_F(ChatTest, ColoursOnlyIfAskedFor) {
  Run("/clear\n");
  EXPECT_THAT(err_, Not(HasSubstr("\033")));
  Run("/clear\n", {}, /*has_colours=*/true);
  EXPECT_THAT(err_, HasSubstr("\033[2ma new conversation\033[0m"));
}

TEST_F(ChatTest, AnAnswerIsStopped) {
  ASSERT_TRUE(options_.Set("step-ms", "10").ok());
  std::jthread stopper([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop_ = true;
  });
  std::string line(500, 'x');
  line += "\n";
  EXPECT_TRUE(Run(line));
  EXPECT_LT(out_.size(), 400U);
  EXPECT_EQ(err_, "stopped\n");
}

}  // namespace
}  // namespace keel::apps

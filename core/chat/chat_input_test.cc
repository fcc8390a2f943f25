#include "core/chat/chat_input.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "absl/status/status.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOkAndHolds;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kTwoTexts[] =
    R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])";
constexpr char kText[] = R"([{"role":"user","content":"a"}])";
constexpr char kImage[] =
    R"([{"role":"user","content":[{"type":"image"},{"type":"text","text":"b"}]}])";

ChatTemplateInput Input(absl::string_view messages, absl::string_view kwargs = "") {
  ChatTemplateInput input;
  input.messages = messages;
  input.kwargs = kwargs;
  return input;
}

ChatTemplateInput Continued(absl::string_view messages) {
  ChatTemplateInput input = Input(messages);
  input.continue_final_message = true;
  return input;
}

ChatContext Context(const ChatTemplateInput& input, ContentFormat format = ContentFormat::kString) {
  auto context = MakeChatContext(input, format, {{"bos_token", "<s>"}});
  KEEL_EXPECT_OK(context);
  return context.ok() ? *std::move(context) : ChatContext();
}

std::string Messages(absl::string_view messages, ContentFormat format) {
  return boost::json::serialize(Context(Input(messages), format).variables["messages"]);
}

TEST(ChatInputTest, ATemplateThatWritesStringsGetsTextPartsAsOneText) {
  EXPECT_EQ(Messages(kTwoTexts, ContentFormat::kString), R"([{"role":"user","content":"a\nb"}])");
  EXPECT_EQ(Messages(kText, ContentFormat::kString), kText);
  EXPECT_EQ(Messages(kImage, ContentFormat::kString), kImage);
}

TEST(ChatInputTest, MediaStandInATextByTheirPlaceholders) {
  ChatTemplateInput input = Input(
      R"([{"role":"user","content":[{"type":"image"},{"type":"text","text":"a"},{"type":"audio"}]}])");
  input.placeholders = {{"image", "<image>"}, {"audio", "<sound>"}};
  EXPECT_EQ(boost::json::serialize(Context(input).variables["messages"]),
            R"([{"role":"user","content":"<image>\na\n<sound>"}])");
}

TEST(ChatInputTest, ATemplateThatReadsPartsGetsParts) {
  EXPECT_EQ(Messages(kTwoTexts, ContentFormat::kParts), kTwoTexts);
  EXPECT_EQ(Messages(kText, ContentFormat::kParts),
            R"([{"role":"user","content":[{"type":"text","text":"a"}]}])");
  for (const char* messages : {kTwoTexts, kText, kImage}) {
    EXPECT_EQ(Messages(messages, ContentFormat::kPartsOrString), messages);
  }
}

TEST(ChatInputTest, TheLastTextIsTaggedWhateverItsForm) {
  for (const ContentFormat format :
       {ContentFormat::kString, ContentFormat::kPartsOrString, ContentFormat::kParts}) {
    EXPECT_EQ(Context(Continued(kText), format).final_text, "a");
  }
  EXPECT_EQ(Context(Continued(kTwoTexts)).final_text, "a\nb");
  EXPECT_THAT(MakeChatContext(Continued(R"([{"role":"user"}])"), ContentFormat::kString, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no content to continue")));
}

TEST(ChatInputTest, CutsAtTheTagAndKeepsTheSpacesThatTheTemplateKept) {
  EXPECT_THAT(CutAtFinalMessage("x one, CONTINUE_FINAL_MESSAGE_TAG </s>", "one, "),
              IsOkAndHolds(std::string("x one, ")));
  EXPECT_THAT(CutAtFinalMessage("x one, CONTINUE_FINAL_MESSAGE_TAG</s>", "one, "),
              IsOkAndHolds(std::string("x one,")));
  EXPECT_THAT(CutAtFinalMessage("x", "one"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ChatInputTest, KwargsOverrideSpecialTokensAndNothingElse) {
  const ChatContext context = Context(Input(kText, R"({"bos_token":"B"})"));
  EXPECT_EQ(boost::json::serialize(context.variables.at("bos_token")), "\"B\"");
  EXPECT_THAT(
      MakeChatContext(Input(kText, R"({"tools":[]})"), ContentFormat::kString, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tools is set by the request")));
}

}  // namespace
}  // namespace keel

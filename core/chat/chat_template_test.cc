#include "core/chat/chat_template.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

namespace json = boost::json;
using ::keel::testing::IsOkAndHolds;
using ::keel::testing::ReadJsonTestData;
using ::keel::testing::StatusIs;
using ::keel::testing::TestData;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kHi[] = R"([{"role": "user", "content": "Hi"}])";

std::string Text(const json::value& value) { return json::value_to<std::string>(value); }

// A conversation of the golden, with the texts that ChatTemplateInput borrows.
struct Conversation {
  explicit Conversation(const json::value& json, int64_t now) {
    const json::object& fields = json.as_object();
    messages = json::serialize(fields.at("messages"));
    if (fields.contains("tools")) tools = json::serialize(fields.at("tools"));
    if (fields.contains("kwargs")) kwargs = json::serialize(fields.at("kwargs"));
    input.messages = messages;
    input.tools = tools;
    input.kwargs = kwargs;
    input.add_generation_prompt = fields.contains("add_generation_prompt");
    input.continue_final_message = fields.contains("continue_final_message");
    input.now = now;
  }
  Conversation(const Conversation&) = delete;

  std::string messages, tools, kwargs;
  ChatTemplateInput input;
};

std::shared_ptr<const ChatTemplate> FromSource(absl::string_view source,
                                               const ChatTemplateLimits& limits = {}) {
  auto result = ChatTemplate::FromSource(source, "test.jinja", {{"bos_token", "<s>"}}, limits);
  KEEL_EXPECT_OK(result);
  return *result;
}

absl::StatusOr<std::string> Render(absl::string_view source, absl::string_view messages = kHi) {
  const auto chat_template = ChatTemplate::FromSource(source, "test.jinja", {{"bos_token", "<s>"}});
  if (!chat_template.ok()) return chat_template.status();
  ChatTemplateInput input;
  input.messages = messages;
  return (*chat_template)->Render(input);
}

TEST(ChatTemplateTest, RendersAsTransformersDoes) {
  const json::value golden = ReadJsonTestData("chat_templates.json");
  const auto special =
      json::value_to<std::map<std::string, std::string>>(golden.at("special_tokens"));
  for (const json::value& item : golden.at("cases").as_array()) {
    const std::string name = Text(item.at("template"));
    const std::string conversation_name = Text(item.at("conversation"));
    SCOPED_TRACE(absl::StrCat(name, " ", conversation_name));
    KEEL_ASSERT_OK_AND_ASSIGN(const std::string source,
                              ReadFile(TestData(absl::StrCat("templates/", name))));
    KEEL_ASSERT_OK_AND_ASSIGN(const auto chat_template,
                              ChatTemplate::FromSource(source, name, special));
    const Conversation conversation(golden.at("conversations").at(conversation_name),
                                    golden.at("now").as_int64());
    const absl::StatusOr<std::string> rendered = chat_template->Render(conversation.input);
    if (const json::value* text = item.as_object().if_contains("text")) {
      KEEL_ASSERT_OK(rendered);
      EXPECT_EQ(*rendered, Text(*text));
    } else if (const std::string error = Text(item.at("error")); !error.empty()) {
      EXPECT_THAT(rendered, StatusIs(absl::StatusCode::kInvalidArgument, error));
    } else {
      EXPECT_THAT(rendered, StatusIs(absl::StatusCode::kInvalidArgument));
    }
  }
}

TEST(ChatTemplateTest, PartsStayPartsWhereTheTemplateWalksThroughThem) {
  constexpr char kParts[] =
      R"([{"role": "user", "content": [{"type": "text", "text": "hello"},
                                       {"type": "text", "text": "b"}]}])";
  constexpr char kWalks[] =
      "{% for m in messages %}<|tag|>{% for p in m.content %}{% if p.type == 'text' %}T:"
      "{{ p.text }}{% endif %}{% endfor %}{% endfor %}";
  EXPECT_THAT(Render(kWalks, kParts), IsOkAndHolds(std::string("<|tag|>T:helloT:b")));
  EXPECT_THAT(Render(kWalks), IsOkAndHolds(std::string("<|tag|>T:Hi")));
  EXPECT_THAT(Render("{% for m in messages %}{{ m.content }}{% endfor %}", kParts),
              IsOkAndHolds(std::string("hello\nb")));
}

ContentFormat FormatOf(absl::string_view source) {
  return FromSource(source)->content_format("default");
}

TEST(ChatTemplateTest, TellsFromTheSourceHowContentIsRead) {
  for (const char* source :
       {"{% for m in messages %}{{ m.content }}{% endfor %}", "{{ messages }}", "",
        "{% for m in messages %}{% for t in m.tool_calls %}{{ t }}{% endfor %}{% endfor %}",
        "{% for p in content %}{% endfor %}",
        "{% for m in messages %}{% for c in m.content.split('x') %}{{ c }}{% endfor %}{% endfor "
        "%}"}) {
    EXPECT_EQ(FormatOf(source), ContentFormat::kString) << source;
  }
  for (const char* source :
       {"{% for m in messages %}{% for p in m['content'] %}{{ p }}{% endfor %}{% endfor %}",
        "{% set ms = messages[1:] %}{% for m in ms %}{% set c = m.content %}"
        "{% for p in c | list %}{{ p }}{% endfor %}{% endfor %}",
        "{% for p in messages[0].content %}{{ p.text }}{% endfor %}",
        "{% macro r(c) %}{% for p in c %}{{ p }}{% endfor %}{% endmacro %}"
        "{% for m in messages %}{{ r(m.content) }}{% endfor %}",
        "{% for m in messages if m.role == 'user' %}{% for p in m.content if p.type == 'text' %}"
        "{{ p }}{% endfor %}{% endfor %}"}) {
    EXPECT_EQ(FormatOf(source), ContentFormat::kParts) << source;
  }
  for (const char* source :
       {"{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for p in m.content %}{{ p }}{% endfor %}{% endif %}{% endfor %}",
        "{% macro r(c) %}{% if c is not string and c is iterable %}{% for p in c %}{{ p }}"
        "{% endfor %}{% endif %}{% endmacro %}{% for m in messages %}{{ r(m.content) }}"
        "{% endfor %}"}) {
    EXPECT_EQ(FormatOf(source), ContentFormat::kPartsOrString) << source;
  }
}

TEST(ChatTemplateTest, TheCallerMaySayHowContentIsRead) {
  const auto chat_template = FromSource("{% for m in messages %}{{ m.content }}{% endfor %}");
  ChatTemplateInput input;
  input.messages = kHi;
  input.content_format = ContentFormat::kParts;
  EXPECT_THAT(chat_template->Render(input),
              IsOkAndHolds(std::string("[{'type': 'text', 'text': 'Hi'}]")));
}

TEST(ChatTemplateTest, PicksTheTemplateForTools) {
  TextFiles files;
  files.tokenizer_config = R"({"chat_template": [{"name": "default", "template": "d"},
      {"name": "tool_use", "template": "t"}, {"name": "rag", "template": "r"}]})";
  KEEL_ASSERT_OK_AND_ASSIGN(const auto chat_template, ChatTemplate::Create(files, {}));
  EXPECT_THAT(chat_template->names(), ElementsAre("default", "rag", "tool_use"));
  ChatTemplateInput input;
  input.messages = kHi;
  EXPECT_THAT(chat_template->Render(input), IsOkAndHolds(std::string("d")));
  input.tools = "[]";
  EXPECT_THAT(chat_template->Render(input), IsOkAndHolds(std::string("t")));
  input.template_name = "rag";
  EXPECT_THAT(chat_template->Render(input), IsOkAndHolds(std::string("r")));
  input.template_name = "chat";
  EXPECT_THAT(chat_template->Render(input),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("default, rag, tool_use")));
}

TEST(ChatTemplateTest, AFileWinsOverTheInlineTemplate) {
  TextFiles files;
  files.tokenizer_config = R"({"chat_template": "inline"})";
  const auto source = [&] { return *ChatTemplate::Create(files, {}).value()->Source("default"); };
  EXPECT_EQ(source(), "inline");
  files.chat_template_json = R"({"chat_template": "processor"})";
  EXPECT_EQ(source(), "processor");
  files.chat_templates["default"] = "file";
  EXPECT_EQ(source(), "file");
}

TEST(ChatTemplateTest, ACheckpointMayHaveNoTemplate) {
  EXPECT_THAT(ChatTemplate::Create({}, {}), StatusIs(absl::StatusCode::kNotFound));
}

TEST(ChatTemplateTest, NamesFileAndLineOfAnError) {
  EXPECT_THAT(
      Render("line one\n{% if %}"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("test.jinja: line 2: syntax error")));
  EXPECT_THAT(Render("\n\n{{ messages.x.y.z }}"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("test.jinja: line 3: ")));
}

TEST(ChatTemplateTest, SaysWhatIsWrongWithAConversation) {
  EXPECT_THAT(Render("x", "[]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("messages: is empty")));
  EXPECT_THAT(Render("x", "{}"), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("messages: is an object, expected an array")));
  EXPECT_THAT(Render("x", "[7]"), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("messages[0]: is an integer")));
  EXPECT_THAT(Render("x", "[{"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("messages:")));
}

TEST(ChatTemplateTest, KwargsCannotReplaceTheMessages) {
  const auto chat_template = FromSource("{{ bos_token }}");
  ChatTemplateInput input;
  input.messages = kHi;
  input.kwargs = R"({"bos_token": "B"})";
  EXPECT_THAT(chat_template->Render(input), IsOkAndHolds(std::string("B")));
  input.kwargs = R"({"messages": []})";
  EXPECT_THAT(chat_template->Render(input),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("messages is set by")));
}

TEST(ChatTemplateTest, ContinuesTheLastMessageOrSaysWhyNot) {
  ChatTemplateInput input;
  input.messages = R"([{"role": "assistant", "content": "one, "}])";
  input.continue_final_message = true;
  EXPECT_THAT(FromSource("<a>{{ messages[0].content }}</a>")->Render(input),
              IsOkAndHolds(std::string("<a>one, ")));
  EXPECT_THAT(FromSource("<a>{{ messages[0].content | trim }}</a>")->Render(input),
              IsOkAndHolds(std::string("<a>one,")));
  EXPECT_THAT(FromSource("<a></a>")->Render(input),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("leaves out")));
  input.add_generation_prompt = true;
  EXPECT_THAT(FromSource("x")->Render(input), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ChatTemplateLimitsTest, EndlessLoopsRunOutOfFuel) {
  const auto chat_template =
      FromSource("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                 {.fuel = 1'000'000});
  ChatTemplateInput input;
  input.messages = kHi;
  EXPECT_THAT(chat_template->Render(input),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("test.jinja: the template executes too many instructions")));
}

TEST(ChatTemplateLimitsTest, OutputIsBounded) {
  const auto chat_template =
      FromSource("{% for i in range(100) %}0123456789{% endfor %}", {.max_output_bytes = 999});
  ChatTemplateInput input;
  input.messages = kHi;
  EXPECT_THAT(chat_template->Render(input),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 999 bytes")));
}

TEST(ChatTemplateLimitsTest, EndlessRecursionIsAnError) {
  EXPECT_THAT(Render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recursion")));
  const std::string deep = std::string(5000, '(') + "1" + std::string(5000, ')');
  EXPECT_THAT(Render(absl::StrCat("{{ ", deep, " }}")),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ChatTemplateLimitsTest, TheSourceIsBounded) {
  EXPECT_THAT(ChatTemplate::FromSource(std::string(5 << 20, 'x'), "test.jinja", {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace keel

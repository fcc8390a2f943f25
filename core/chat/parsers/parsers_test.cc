// What each parser makes of a whole text, and that it makes the same of it in whatever pieces it comes.
#include "core/chat/parsers/parsers.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::HasSubstr;

constexpr char kToolsJson[] = R"([
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties":
        {"city": {"type": "string"}, "days": {"type": "integer"}}}}},
    {"type": "function", "function": {"name": "time"}}])";

std::shared_ptr<const ToolList> Tools() {
  return std::make_shared<const ToolList>(ToolList::Parse(kToolsJson).value());
}

// Parts in one line: text, (reasoning), name<-arguments.
std::string Shown(const std::vector<OutputPart>& parts) {
  std::vector<OutputPart> joined;
  for (const OutputPart& part : parts) AddPart(part.kind, part.text, &joined);
  std::string out;
  for (const OutputPart& part : joined) {
    switch (part.kind) {
      case OutputPart::Kind::kText:
        absl::StrAppend(&out, "\"", part.text, "\" ");
        break;
      case OutputPart::Kind::kReasoning:
        absl::StrAppend(&out, "(", part.text, ") ");
        break;
      case OutputPart::Kind::kToolName:
        absl::StrAppend(&out, part.text, "<-");
        break;
      case OutputPart::Kind::kToolArguments:
        absl::StrAppend(&out, part.text, " ");
    }
  }
  return out;
}

struct Sample {
  const char* tools;
  const char* reasoning;
  const char* prompt;  // its end
  std::string text;
  const char* shown;
};

OutputParser ParserOf(const Sample& sample) {
  return MakeOutputParser({sample.tools, sample.reasoning},
                          {Tools(), ToolUse::kAuto, "", sample.prompt});
}

std::string Parse(const Sample& sample, const std::vector<absl::string_view>& pieces) {
  OutputParser parser = ParserOf(sample);
  std::vector<OutputPart> parts;
  for (const absl::string_view piece : pieces) parser.Add(piece, &parts);
  parser.Finish(&parts);
  return Shown(parts);
}

#define BAR "\xEF\xBD\x9C"
#define BLOCK "\xE2\x96\x81"
#define CALLS_BEGIN "<" BAR "tool" BLOCK "calls" BLOCK "begin" BAR ">"
#define CALL_BEGIN "<" BAR "tool" BLOCK "call" BLOCK "begin" BAR ">"
#define SEP "<" BAR "tool" BLOCK "sep" BAR ">"
#define CALL_END "<" BAR "tool" BLOCK "call" BLOCK "end" BAR ">"
#define CALLS_END "<" BAR "tool" BLOCK "calls" BLOCK "end" BAR ">"

const Sample kSamples[] = {
    // Hermes and Qwen.
    {"hermes", "", "", "plain, with < and <tool and {\"name\": 1}\n",
     "\"plain, with < and <tool and {\"name\": 1}\n\" "},
    {"hermes", "", "",
     "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"</tool_call> "
     "}\", "
     "\"days\": 3}}\n</tool_call>\n<tool_call>\n{\"name\": \"time\", \"arguments\": "
     "{}}\n</tool_call>",
     "\"Let me see.\" weather<-{\"city\": \"</tool_call> }\", \"days\": 3} time<-{} "},
    {"hermes", "", "",
     "<tool_call>{\"arguments\": {\"a\": [1, {}]}, \"name\": \"f\"}</tool_call> done",
     "f<-{\"a\": [1, {}]} \"done\" "},
    {"hermes", "", "", "<tool_call>{\"name\": \"f\"}</tool_call>", "f<-{} "},
    {"hermes", "", "",
     "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
     "f<-{\"a\": 1} "},
    {"hermes", "", "", "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"cut sh",
     "f<-{\"a\": \"cut sh "},
    {"hermes", "", "", "<tool_call>{\"no name\": 5}</tool_call>", "\"{\"no name\": 5}\" "},
    {"hermes", "", "", "<tool_call>\n</tool_call>", ""},
    {"hermes", "qwen3", "<|im_start|>assistant\n",
     "<think>\nI need\n\nweather.\n</think>\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
     "{\"city\": \"Rome\"}}\n</tool_call>",
     "(I need\n\nweather.) weather<-{\"city\": \"Rome\"} "},
    {"hermes", "qwen3", "<|im_start|>assistant\n<think>\n", "Hm.\n</think>\n\nYes.",
     "(Hm.) \"Yes.\" "},
    {"hermes", "qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n", "Yes <b>.",
     "\"Yes <b>.\" "},
    {"", "qwen3", "assistant\n", "What does <think> mean?", "\"What does <think> mean?\" "},
    {"", "qwen3", "assistant\n", "<think>\n\n</think>\n\nHi", "\"Hi\" "},
    {"", "qwen3", "assistant\n", "<think>never en</thi", "(never en</thi) "},
    {"", "deepseek_r1", "Assistant", "Hm</think>So", "(Hm) \"So\" "},
    {"", "deepseek_r1", "Assistant<think>\n", "<think>Hm</think>So", "(Hm) \"So\" "},
    {"", "mistral", "[/INST]", "[THINK]Hm[/THINK]So", "(Hm) \"So\" "},
    {"", "granite", "", "Here is my thought process: a\nb Here is my response: c", "(a\nb) \"c\" "},
    {"", "seed_oss", "", "<seed:think>a</seed:think>b", "(a) \"b\" "},
    // Qwen3-Coder.
    {"qwen3_coder", "", "",
     "Sure.\n\n<tool_call>\n<function=weather>\n<parameter=city>\nRome \"x\"\n\nb\n</parameter>\n"
     "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
     "\"Sure.\" weather<-{\"city\": \"Rome \\\"x\\\"\\n\\nb\", \"days\": 3} "},
    {"qwen3_coder", "", "",
     "<tool_call>\n<function=time>\n</function>\n</tool_call>\n<function=f><parameter=a>[1, 2]"
     "<parameter=b>x < y</parameter></function> bye",
     "time<-{} f<-{\"a\": [1,2], \"b\": \"x < y\"} \"bye\" "},
    // Llama 3.
    {"llama3_json", "", "", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}",
     "weather<-{\"city\": \"Rome\"} "},
    {"llama3_json", "", "",
     "<|python_tag|>{\"type\": \"function\", \"name\": \"time\", \"parameters\": {}}; "
     "{\"name\": \"weather\", \"parameters\": {\"days\": 2}}",
     "time<-{} weather<-{\"days\": 2} "},
    {"llama3_json", "", "", "{\"name\": \"Bob\", \"age\": 3} is JSON",
     "\"{\"name\": \"Bob\", \"age\": 3} is JSON\" "},
    {"llama3_json", "", "", " {\"a\": 1}", "\"{\"a\": 1}\" "},
    {"llama3_json", "", "", "{oh, {} no", "\"{oh, {} no\" "},
    // Pythonic.
    {"pythonic", "", "", "[weather(city='Ro\\'me', days=3), time()]",
     "weather<-{\"city\": \"Ro'me\", \"days\": 3} time<-{} "},
    {"pythonic", "", "", "[weather(city=\"a)]\", x=[1.5, -2, {'k': (True, None)}])] done",
     "weather<-{\"city\": \"a)]\", \"x\": [1.5E0, -2, {\"k\": [true, null]}]} \"done\" "},
    {"pythonic", "", "", "[a link](http://x) and text", "\"[a link](http://x) and text\" "},
    {"pythonic", "", "", "[other(x=1)]", "\"[other(x=1)]\" "},
    {"pythonic", "", "", "[weather(city=open('f'))]", "\"[weather(city=open('f'))]\" "},
    {"llama4_pythonic", "", "", "<|python_start|>[time()]<|python_end|>", "time<-{} "},
    // Mistral.
    {"mistral", "", "",
     "Hm. [TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}, {\"name\": "
     "\"time\", \"arguments\": {}}]",
     "\"Hm.\" weather<-{\"city\": \"Rome\"} time<-{} "},
    {"mistral", "", "", "[TOOL_CALLS]weather{\"city\": \"[ARGS]\"}[TOOL_CALLS]time[ARGS]{}",
     "weather<-{\"city\": \"[ARGS]\"} time<-{} "},
    {"mistral", "", "", "[TOOL_CALLS]weather[CALL_ID]abc[ARGS]{\"days\": 1}",
     "weather<-{\"days\": 1} "},
    {"mistral", "", "", "[TOOL_CALLS]weath", "weath<-"},
    // DeepSeek.
    {"deepseek_v3", "", "",
     "Well." CALLS_BEGIN CALL_BEGIN "function" SEP
     "weather\n```json\n{\"city\": \"Rome\"}\n```" CALL_END "\n" CALL_BEGIN "function" SEP
     "time\n```json\n{}\n```" CALL_END CALLS_END,
     "\"Well.\" weather<-{\"city\": \"Rome\"} time<-{} "},
    {"deepseek_v31", "", "",
     CALLS_BEGIN CALL_BEGIN "weather" SEP "{\"city\": \"Rome\"}" CALL_END CALL_BEGIN "time" SEP
                            "{}" CALL_END CALLS_END,
     "weather<-{\"city\": \"Rome\"} time<-{} "},
    // Granite, Phi-4.
    {"granite", "", "", "<|tool_call|>[{\"name\": \"time\", \"arguments\": {}}]", "time<-{} "},
    {"granite", "granite", "",
     "Here is my thought process: a Here is my response: <tool_call>[{\"name\": \"time\"}]",
     "(a) time<-{} "},
    {"phi4_mini_json", "", "",
     "functools[{\"name\": \"time\", \"arguments\": {}}, {\"name\": \"weather\", \"arguments\": "
     "{\"days\": 1}}]",
     "time<-{} weather<-{\"days\": 1} "},
    {"phi4_mini_json", "", "",
     "<|tool_call|>[{\"name\": \"time\", \"arguments\": {}}]<|/tool_call|>ok", "time<-{} \"ok\" "},
    // gpt-oss.
    {"openai", "openai_gptoss", "<|start|>assistant",
     "<|channel|>analysis<|message|>I think.<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.weather <|constrain|>json<|message|>{\"city\": \"Rome\"}<|call|>",
     "(I think.) weather<-{\"city\": \"Rome\"} "},
    {"openai", "", "<|start|>assistant",
     "<|channel|>commentary<|message|>First.<|end|>\n<|start|>assistant "
     "to=functions.time<|channel|>"
     "commentary json<|message|>{}",
     "\"First.\" time<-{} "},
    {"openai", "", "", "<|channel|>final<|message|>Hi < there<|return|>", "\"Hi < there\" "},
    {"openai", "", "", "no markers", "\"no markers\" "},
};

TEST(ParsersTest, WholeTexts) {
  for (const Sample& sample : kSamples)
    EXPECT_EQ(Parse(sample, {sample.text}), sample.shown) << sample.tools << ": " << sample.text;
}

// Byte by byte, in two pieces cut at every place, and in pieces of any size.
TEST(ParsersTest, EverySplitGivesTheSame) {
  std::mt19937 random(1);
  for (const Sample& sample : kSamples) {
    const absl::string_view text = sample.text;
    std::vector<absl::string_view> bytes;
    for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
    EXPECT_EQ(Parse(sample, bytes), sample.shown) << sample.tools << ": " << text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(Parse(sample, {text.substr(0, cut), text.substr(cut)}), sample.shown)
          << sample.tools << " cut at " << cut << ": " << text;
    }
    for (int round = 0; round < 50; ++round) {
      std::vector<absl::string_view> pieces;
      for (size_t at = 0; at < text.size();) {
        const size_t n = 1 + random() % 7;
        pieces.push_back(text.substr(at, n));
        at += n;
      }
      ASSERT_EQ(Parse(sample, pieces), sample.shown) << sample.tools << ": " << text;
    }
  }
}

// A name is given before the arguments are there, and arguments come as they are made.
TEST(ParsersTest, CallsStream) {
  const Sample sample = {"hermes", "", "", "", ""};
  OutputParser parser = ParserOf(sample);
  std::vector<OutputPart> parts;
  parser.Add("<tool_call>{\"name\": \"weather\"", &parts);
  EXPECT_EQ(Shown(parts), "weather<-");
  parser.Add(", \"arguments\": {\"ci", &parts);
  EXPECT_EQ(Shown(parts), "weather<-{\"ci ");
  // A fork goes on by itself.
  OutputParser fork = parser;
  std::vector<OutputPart> forked = parts;
  parser.Add("ty\": 1}}</tool_call>", &parts);
  fork.Add("rcle\": 2}}</tool_call>", &forked);
  EXPECT_EQ(Shown(parts), "weather<-{\"city\": 1} ");
  EXPECT_EQ(Shown(forked), "weather<-{\"circle\": 2} ");
}

TEST(ParsersTest, WhereNoToolsAreCalledMarkersOfCallsAreText) {
  OutputParser parser = MakeOutputParser({"hermes", ""}, {Tools(), ToolUse::kNone, "", ""});
  std::vector<OutputPart> parts;
  parser.Add("<tool_call>x", &parts);
  parser.Finish(&parts);
  EXPECT_EQ(Shown(parts), "\"<tool_call>x\" ");
}

TEST(ParsersTest, WhatAGrammarMadeIsCalls) {
  const auto parse = [](const ParserRequest& request, absl::string_view text) {
    OutputParser parser = MakeOutputParser({"hermes", "qwen3"}, request);
    std::vector<OutputPart> parts;
    for (const char& c : text) parser.Add(absl::string_view(&c, 1), &parts);
    parser.Finish(&parts);
    return Shown(parts);
  };
  EXPECT_EQ(
      parse(
          {Tools(), ToolUse::kRequired, "", "<think>\n"},
          R"(Hm.</think>[{"name": "time", "parameters": {}}, {"name": "weather", "parameters": {"days": 1}}])"),
      "(Hm.) time<-{} weather<-{\"days\": 1} ");
  EXPECT_EQ(parse({Tools(), ToolUse::kNamed, "weather", ""}, R"({"city": "Rome"})"),
            "weather<-{\"city\": \"Rome\"} ");
}

// Bytes from a model: whatever they are, every split gives the same parts and no marker is in a text.
TEST(ParsersTest, DamagedTextsAreTakenInWhateverPiecesToo) {
  std::mt19937 random(20261);
  const std::vector<absl::string_view> whole = {"<tool_call>", "</tool_call>", "<|channel|>",
                                                "[TOOL_CALLS]", CALLS_BEGIN};
  for (int round = 0; round < 4000; ++round) {
    const Sample& sample = kSamples[random() % std::size(kSamples)];
    std::string text = sample.text;
    for (int i = 0; i < 3 && !text.empty(); ++i) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text.erase(at, 1 + random() % 5);
          break;
        case 1:
          text.insert(at, 1, "{}[]\"'<|>\\ ,:x"[random() % 14]);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), 9));
      }
    }
    const std::string expected = Parse(sample, {text});
    std::vector<absl::string_view> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random() % 5;
      pieces.push_back(absl::string_view(text).substr(at, n));
      at += n;
    }
    ASSERT_EQ(Parse(sample, pieces), expected) << sample.tools << ": " << text;
    OutputParser parser = ParserOf(sample);
    std::vector<OutputPart> parts;
    parser.Add(text, &parts);
    parser.Finish(&parts);
    const absl::string_view begin = absl::StartsWith(sample.tools, "hermes")     ? "<tool_call>"
                                    : absl::StartsWith(sample.tools, "deepseek") ? CALLS_BEGIN
                                    : absl::StartsWith(sample.tools, "openai")   ? "<|channel|>"
                                                                                 : "";
    if (begin.empty()) continue;
    std::string said;
    for (const OutputPart& part : parts) {
      if (part.kind == OutputPart::Kind::kText) said += part.text;
    }
    ASSERT_THAT(said, ::testing::Not(HasSubstr(std::string(begin)))) << text;
  }
}

TEST(ParsersTest, ATextKeepsTheMarkersThatItsParserLooksFor) {
  using ::testing::Contains;
  using ::testing::IsEmpty;
  using ::testing::Not;
  const ParserNames names = {"mistral", "mistral"};
  EXPECT_THAT(MarkersOf(names, ToolUse::kAuto), Contains("[TOOL_CALLS]"));
  EXPECT_THAT(MarkersOf(names, ToolUse::kNone), Contains("[/THINK]"));
  EXPECT_THAT(MarkersOf(names, ToolUse::kNone), Not(Contains("[TOOL_CALLS]")));
  EXPECT_THAT(MarkersOf(names, ToolUse::kRequired), Contains("[/THINK]"));
  EXPECT_THAT(MarkersOf({"openai", ""}, ToolUse::kRequired), IsEmpty());
  EXPECT_THAT(MarkersOf({"openai", ""}, ToolUse::kNone), Contains("<|channel|>"));
}

TEST(ParsersTest, ATemplateShowsWhatItsModelsWrite) {
  const auto guess = [](absl::string_view source) {
    const ParserNames names = GuessParsers(source);
    return names.tools + "/" + names.reasoning;
  };
  EXPECT_EQ(guess("<tool_call>\n{{ x }}"), "hermes/");
  EXPECT_EQ(guess("<tool_call>\n<function=' + name"), "qwen3_coder/");
  EXPECT_EQ(guess("<tool_call>{{ c.split('</think>') }}"), "hermes/qwen3");
  EXPECT_EQ(guess("[TOOL_CALLS] [THINK]"), "mistral/mistral");
  EXPECT_EQ(guess("<|start|>assistant<|channel|>final"), "openai/openai_gptoss");
  EXPECT_EQ(guess("'<" BAR "tool" BLOCK "calls" BLOCK "begin" BAR ">'"), "deepseek_v3/");
  EXPECT_EQ(guess("<|python_tag|>"), "llama3_json/");
  EXPECT_EQ(guess("<|tool_call|>"), "granite/");
  EXPECT_EQ(guess("<|tool_call|> <|/tool_call|>"), "phi4_mini_json/");
  EXPECT_EQ(guess("<|im_start|>user"), "/");
}

TEST(ParsersTest, AFlagGoesBeforeTheGuess) {
  const absl::string_view source = "<tool_call></think>";
  const auto chosen = ChooseParsers({"auto", "auto"}, source);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->tools + "/" + chosen->reasoning, "hermes/qwen3");
  EXPECT_EQ(ChooseParsers({"mistral", "none"}, source)->tools, "mistral");
  EXPECT_EQ(ChooseParsers({"mistral", "none"}, source)->reasoning, "");
  EXPECT_THAT(std::string(ChooseParsers({"hermess", "auto"}, source).status().message()),
              HasSubstr("--tool-call-parser is hermess, expected auto, none, hermes, qwen3_coder"));
  EXPECT_THAT(std::string(ChooseParsers({"auto", "x"}, source).status().message()),
              HasSubstr("--reasoning-parser is x"));
}

TEST(ToolListTest, SchemasAreWhatTheToolsSay) {
  const ToolList tools = ToolList::Parse(R"([{"name": "f", "parameters": {"type": "object",
      "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}}])")
                             .value();
  EXPECT_THAT(tools.CallsSchema(1), HasSubstr(R"("maxItems":1,"$defs":{"x":{"type":"string"}})"));
  EXPECT_THAT(tools.CallsSchema(0), HasSubstr(R"("name":{"enum":["f"]})"));
  EXPECT_THAT(tools.ArgumentsSchema("f").value(), HasSubstr(R"("$ref":"#/$defs/x")"));
  EXPECT_THAT(std::string(tools.ArgumentsSchema("g").status().message()),
              HasSubstr("tool_choice names 'g', which is none of the tools: f"));
}

TEST(ToolListTest, WhatIsNoListOfToolsIsRefused) {
  for (const char* bad : {"{", "{}", "[5]", "[{}]", R"([{"function": {"name": 5}}])"})
    EXPECT_FALSE(ToolList::Parse(bad).ok()) << bad;
  EXPECT_TRUE(ToolList::Parse("").value().empty());
}

}  // namespace
}  // namespace keel

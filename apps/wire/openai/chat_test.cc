#include "apps/wire/openai/chat.h"

#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apps/testing/mutate.h"
#include "apps/wire/call_fixture.h"
#include "apps/wire/openai/error.h"
#include "apps/wire/run_call.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

// The fake engine answers with the last message's text.
class ChatTest : public CallFixture {
 protected:
  ChatTest() : CallFixture(ParseChat) {}

  // A body with the one message "hi" and `fields`.
  static std::string Body(const std::string& fields = "") {
    return R"({"messages":[{"role":"user","content":"hi"}])" +
           std::string(fields.empty() ? "" : ",") + fields + "}";
  }
};

TEST_F(ChatTest, TheResponseHasOpenAisShape) {
  const json::value body = Run(Body());
  EXPECT_EQ(body.at("id"), "chatcmpl-id");
  EXPECT_EQ(body.at("object"), "chat.completion");
  EXPECT_EQ(body.at("model"), "fake");
  EXPECT_EQ(body.at("choices"), json::parse(R"([{"index":0,"logprobs":null,"finish_reason":"stop",
      "stop_reason":null,"message":{"role":"assistant","content":"hi"}}])"));
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 3);
  EXPECT_EQ(Run(Body(R"("model":"alias")")).at("model"), "alias");
}

TEST_F(ChatTest, TheFirstChunkSaysTheRoleAndTheLastTheReason) {
  const auto chunks = Stream(Body(R"("stream":true)"));
  ASSERT_EQ(chunks.size(), 5U);
  EXPECT_EQ(chunks[0].at("object"), "chat.completion.chunk");
  EXPECT_EQ(chunks[0].at("choices"), json::parse(R"([{"index":0,
      "delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}])"));
  EXPECT_EQ(chunks[1].at("choices").at(0).at("delta"), json::parse(R"({"content":"h"})"));
  EXPECT_EQ(chunks[2].at("choices").at(0).at("delta"), json::parse(R"({"content":"i"})"));
  EXPECT_TRUE(chunks[2].at("choices").at(0).at("finish_reason").is_null());
  EXPECT_EQ(chunks[3].at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_FALSE(chunks[3].as_object().contains("usage"));
  EXPECT_EQ(chunks[4], "[DONE]");
}

class FullChunksChatTest : public CallFixture {
 protected:
  FullChunksChatTest() : CallFixture(ParseFullChunksChat) {}
};

TEST_F(FullChunksChatTest, EachDeltaHasTheRole) {
  auto chunks = Stream(R"({"messages":[{"role":"user","content":"h!f:{};"}],
      "tools":[{"type":"function","function":{"name":"f"}}],
      "stream":true,"stream_options":{"include_usage":true}})");
  ASSERT_EQ(chunks.back(), "[DONE]");
  chunks.pop_back();
  ASSERT_TRUE(chunks.back().as_object().contains("usage"));
  for (const json::value& chunk : chunks)
    EXPECT_THAT(std::string(chunk.at("system_fingerprint").as_string()), HasSubstr("keel-"));
  chunks.pop_back();
  const auto delta = [&](size_t i) { return chunks[i].at("choices").at(0).at("delta"); };
  EXPECT_EQ(delta(0), json::parse(R"({"role":"assistant","content":"","tool_calls":null})"));
  EXPECT_EQ(delta(1), json::parse(R"({"role":"assistant","content":"h","tool_calls":null})"));
  EXPECT_EQ(delta(2).at("role"), "assistant");
  EXPECT_EQ(delta(2).at("tool_calls").at(0).at("function").at("name"), "f");
  EXPECT_FALSE(delta(2).as_object().contains("content"));
  EXPECT_EQ(delta(chunks.size() - 1), delta(0)) << "the end";
}

TEST_F(ChatTest, MediaStayInTheirOrderAndPlaces) {
  const json::value body = Run(R"({"messages":[
      {"role":"user","content":[{"type":"image_url","image_url":"https://a/1"}]},
      {"role":"assistant","content":"ok"},
      {"role":"user","content":[
          {"type":"text","text":"see"},
          {"type":"image_url","image_url":{"url":"data:image/png;base64,QQ==","detail":"low"}},
          {"type":"video_url","video_url":{"url":"file:///v"}},
          {"type":"input_audio","input_audio":{"data":"QUJD","format":"wav"}}]}],
      "mm_processor_kwargs":{"max_pixels":3136}})");
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"),
            "see\n<image>\n<video>\n<audio>\n"
            "image https://a/1 at messages[0].content[0]\n"
            "image data:image/png;base64,QQ== at messages[2].content[1]\n"
            "video file:///v at messages[2].content[2]\n"
            "audio data:;base64,QUJD at messages[2].content[3]");
}

TEST_F(ChatTest, RefusalsOfPartsNameThem) {
  const auto error = [&](const std::string& part) {
    return ErrorOf(R"({"messages":[{"role":"user","content":[)" + part + "]}]}");
  };
  EXPECT_THAT(error(R"({"type":"image"})").message,
              HasSubstr("messages[0].content[0]: parts of type 'image' are not served, expected"));
  EXPECT_THAT(error(R"({"type":"image_url"})").message,
              HasSubstr("messages[0].content[0].image_url is missing"));
  EXPECT_THAT(error(R"({"type":"image_url","image_url":{"uri":""}})").message,
              HasSubstr("messages[0].content[0].image_url.url is missing"));
  EXPECT_THAT(error(R"({"type":"image_url","image_url":5})").message, HasSubstr("is 5 (a number)"));
  EXPECT_THAT(error(R"({"type":"input_audio","input_audio":{"format":"wav"}})").message,
              HasSubstr("messages[0].content[0].input_audio.data is missing"));
  EXPECT_EQ(error(R"({"text":"x"})").field, "messages[0].content[0]");
}

// The fake engine takes (...) for reasoning and !name:{...}; for a call.
class PartsTest : public ChatTest {
 protected:
  static std::string Said(const std::string& content, const std::string& fields = "") {
    return R"({"messages":[{"role":"user","content":")" + content +
           R"("}],"tools":[{"type":"function","function":{"name":"f"}}])" +
           (fields.empty() ? "" : "," + fields) + "}";
  }
};

TEST_F(PartsTest, ReasoningAndCallsAreNoContent) {
  json::value choice = Run(Said("(hm)let me see!f:{\\\"a\\\":1};!g:{};")).at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  json::object& message = choice.at("message").as_object();
  for (json::value& call : message.at("tool_calls").as_array()) {
    EXPECT_EQ(call.at("id").as_string().size(), 9U);
    call.as_object().erase("id");
  }
  EXPECT_EQ(message, json::parse(R"({"role":"assistant","content":"let me see",
      "reasoning_content":"hm","tool_calls":[
          {"type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
          {"type":"function","function":{"name":"g","arguments":"{}"}}]})"));
  EXPECT_TRUE(Run(Said("!f:{};")).at("choices").at(0).at("message").at("content").is_null());
}

TEST_F(PartsTest, ACallThatWasNamedIsNoReasonToStop) {
  const json::value choice =
      Run(Said("!f:{};", R"("tool_choice":{"type":"function","function":{"name":"f"}})"))
          .at("choices")
          .at(0);
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_EQ(choice.at("message").at("tool_calls").as_array().size(), 1U);
}

TEST_F(PartsTest, AStreamBringsPartsAsTheyAreMade) {
  const auto chunks = Stream(Said("(h)y!f:{};!g:1;", R"("stream":true)"));
  json::array deltas;
  for (const json::value& chunk : chunks) {
    if (chunk.is_string()) break;
    json::value delta = chunk.at("choices").at(0).at("delta");
    if (json::value* calls = delta.as_object().if_contains("tool_calls"))
      calls->at(0).as_object().erase("id");
    deltas.push_back(std::move(delta));
  }
  EXPECT_EQ(deltas, json::parse(R"([{"role":"assistant","content":""},
      {"reasoning_content":"h"},{"content":"y"},
      {"tool_calls":[{"index":0,"type":"function","function":{"name":"f","arguments":""}}]},
      {"tool_calls":[{"index":0,"function":{"arguments":"{"}}]},
      {"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},
      {"tool_calls":[{"index":1,"type":"function","function":{"name":"g","arguments":""}}]},
      {"tool_calls":[{"index":1,"function":{"arguments":"1"}}]},{}])"));
  EXPECT_EQ(chunks[chunks.size() - 2].at("choices").at(0).at("finish_reason"), "tool_calls");
}

TEST_F(ChatTest, UsageIsTheLastChunkWhenAskedFor) {
  const auto chunks = Stream(Body(R"("stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_EQ(chunks.size(), 6U);
  EXPECT_TRUE(chunks[4].at("choices").as_array().empty());
  EXPECT_EQ(chunks[4].at("usage").at("completion_tokens"), 3);
  EXPECT_EQ(ErrorOf(Body(R"("stream_options":{"include_usage":true})")).field, "stream_options");
}

TEST_F(ChatTest, EachOfNHasItsIndex) {
  const json::value body = Run(Body(R"("n":2)"));
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "hi");
  EXPECT_EQ(body.at("choices").at(1).at("message").at("content"), "i");  // the fake's second
  EXPECT_EQ(body.at("choices").at(1).at("index"), 1);
}

TEST_F(ChatTest, LogprobsCarryTokensAndBytes) {
  const json::value body = Run(Body(R"("logprobs":true,"top_logprobs":1)"));
  const json::array& content = body.at("choices").at(0).at("logprobs").at("content").as_array();
  ASSERT_EQ(content.size(), 3U);
  EXPECT_EQ(content[0], json::parse(R"({"token":"h","logprob":-0.5,"bytes":[104],
      "top_logprobs":[{"token":"h","logprob":-0.5,"bytes":[104]}]})"));
  EXPECT_TRUE(Run(Body()).at("choices").at(0).at("logprobs").is_null());
  EXPECT_THAT(ErrorOf(Body(R"("top_logprobs":1)")).message, HasSubstr("logprobs is not true"));
}

TEST_F(ChatTest, LogprobsOfThePromptStandBesideTheChoices) {
  const json::value body = Run(Body(R"("prompt_logprobs":1)"));
  const json::array& all = body.at("prompt_logprobs").as_array();
  ASSERT_GT(all.size(), 2U);
  EXPECT_TRUE(all[0].is_null());
  EXPECT_EQ(all[1], json::parse(R"({"115":{"logprob":-0.5,"rank":1,"decoded_token":"s"}})"));
  EXPECT_FALSE(Run(Body()).as_object().contains("prompt_logprobs"));
}

TEST_F(ChatTest, TokensAreNamedByIdWhenAskedFor) {
  const json::value body = Run(Body(R"("logprobs":true,"return_tokens_as_token_ids":true)"));
  EXPECT_EQ(body.at("choices").at(0).at("logprobs").at("content").at(0).at("token"),
            "token_id:104");
}

TEST_F(ChatTest, MoreThanIsAllowedIsRefused) {
  EXPECT_EQ(ErrorOf(Body(R"("logprobs":true,"top_logprobs":21)")).message,
            "top_logprobs is 21, expected 0 to 20 (--max-logprobs)");
  EXPECT_EQ(ErrorOf(Body(R"("prompt_logprobs":21)")).field, "prompt_logprobs");
  limits_.max_sequences = 3;
  EXPECT_EQ(ErrorOf(Body(R"("n":4)")).field, "n");
  EXPECT_EQ(ErrorOf(Body(R"("n":3)")).message, "no error");
}

// The fake engine refuses what is structured, so it was told.
TEST_F(ChatTest, OlderNamesOfStructuredOutputAreServed) {
  for (const char* field :
       {R"("guided_json":{"type":"object"})", R"("guided_json":"{}")", R"("guided_regex":"a+")",
        R"("guided_choice":["a","b"])", R"("guided_grammar":"start: \"a\"")",
        R"("guided_json_object":true)", R"("structured_outputs":{"regex":"a+"})"}) {
    EXPECT_TRUE(Run(Body(field)).is_null()) << field;
  }
  EXPECT_FALSE(Run(Body(R"("guided_json_object":false)")).is_null());
}

TEST_F(ChatTest, StopStringsAndLimitsEndAnAnswer) {
  json::value choice = Run(Body(R"("stop":["i"])")).at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("content"), "h");
  EXPECT_EQ(choice.at("stop_reason"), "i");
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    choice = Run(Body("\"" + std::string(name) + "\":1")).at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason"), "length") << name;
  }
}

TEST_F(ChatTest, TheBytesOfTokensAreTheContent) {
  const json::value body =
      Run(R"({"messages":[{"role":"user","content":"\ud83d\ude00"}],"logprobs":true})");
  json::array bytes;
  for (const json::value& token :
       body.at("choices").at(0).at("logprobs").at("content").as_array()) {
    bytes.push_back(token.at("bytes"));
  }
  // The end token is no part of it.
  EXPECT_EQ(bytes, json::parse("[[240],[159],[152],[128],null]"));
}

TEST_F(ChatTest, PartsOfTextAreOneText) {
  const json::value body = Run(R"({"messages":[{"role":"user","content":
      [{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})");
  EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "a\nb");
}

TEST_F(ChatTest, TokenIdsAreReturnedWhenAskedFor) {
  const json::value body = Run(Body(R"("return_token_ids":true)"));
  EXPECT_EQ(body.at("choices").at(0).at("token_ids"), json::parse("[104,105,257]"));
  EXPECT_FALSE(body.at("prompt_token_ids").as_array().empty());
}

struct BadBody {
  const char* fields;
  const char* param;
  const char* message;
  int http_status = 400;
};

TEST_F(ChatTest, AWrongFieldIsNamed) {
  const BadBody kBad[] = {
      {R"("temperature":"hot")", "temperature", "is \"hot\" (a string), expected a number"},
      {R"("temperature":-1)", "temperature", "temperature is negative"},
      {R"("max_tokens":1.5)", "max_tokens", "expected a whole number"},
      {R"("n":0)", "n", "n is 0"},
      {R"("stream":"yes")", "stream", "expected true or false"},
      {R"("stop":[1])", "stop[0]", "expected a string"},
      {R"("stop":"")", "stop", "an empty string never stops"},
      {R"("logit_bias":{"x":1})", "logit_bias", "from token ids to numbers"},
      {R"("logit_bias":{"999":1})", "logit_bias", "token 999"},
      {R"("seed":"s")", "seed", "expected a whole number"},
      {R"("tools":[])", "tools", "tools is empty"},
      {R"("tool_choice":"required")", "tool_choice", "tools is missing"},
      {R"("response_format":{"type":"xml"})", "response_format.type", "expected text"},
      {R"("response_format":{"type":"json_schema"})", "response_format", "no json_schema.schema"},
      {R"("model":"other")", "model", "model 'other' is not served", 404},
      {R"("tools":[{"type":"function"}],"tool_choice":"any")", "tool_choice",
       "expected auto, none"},
      {R"("tools":[{"type":"function"}],"tool_choice":{"type":"function"})", "tool_choice",
       "is an object of 1, expected"},
      {R"("functions":[])", "functions", "use tools"},
      {R"("best_of":-5)", "best_of", "best_of is -5"},
      {R"("echo":true)", "echo", "/v1/completions only"},
  };
  for (const BadBody& bad : kBad) {
    const CallError error = ErrorOf(Body(bad.fields));
    EXPECT_EQ(error.field, bad.param) << bad.fields;
    EXPECT_EQ(HttpStatus(error.code), bad.http_status) << bad.fields;
    EXPECT_THAT(error.message, HasSubstr(bad.message)) << bad.fields;
  }
}

TEST_F(ChatTest, AWrongMessageIsNamed) {
  const BadBody kBad[] = {
      {R"({})", "messages", "messages is missing"},
      {R"({"messages":[]})", "messages", "messages is empty"},
      {R"({"messages":"hi"})", "messages", "expected a list"},
      {R"({"messages":["hi"]})", "messages[0]", "expected an object"},
      {R"({"messages":[{"content":"hi"}]})", "messages[0].role", "has no role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content", "has no content"},
      {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content",
       "expected a string or a list of parts"},
      {R"({"messages":[{"role":"user","content":[{"text":"x"}]}]})", "messages[0].content[0]",
       "has no type"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0].content[0].image_url", "is missing, expected an object with url"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":5}]}]})",
       "messages[0].tool_calls[0].function", "expected an object with name and arguments"},
  };
  for (const BadBody& bad : kBad) {
    const CallError error = ErrorOf(bad.fields);
    EXPECT_EQ(error.field, bad.param) << bad.fields;
    EXPECT_EQ(HttpStatus(error.code), bad.http_status) << bad.fields;
    EXPECT_THAT(error.message, HasSubstr(bad.message)) << bad.fields;
  }
}

// As OpenAI's clients and vLLM expect it: what nobody knows changes nothing, null is absent.
TEST_F(ChatTest, UnknownFieldsAreIgnored) {
  EXPECT_EQ(Run(Body(R"("user":"u","store":true,"no_such_field":{"a":[1]},"stop":null,"n":null)"))
                .at("choices")
                .as_array()
                .size(),
            1U);
}

// Bytes from outside: a body is taken or refused in words, and what is taken runs.
TEST_F(ChatTest, DamagedBodiesAreTakenOrRefused) {
  const std::string good =
      Body(R"("model":"fake","n":2,"temperature":0.5,"top_p":0.9,"max_tokens":4,"stop":["x","y"],)"
           R"("logprobs":true,"top_logprobs":2,"logit_bias":{"5":1.5},"stream":false,"seed":7,)"
           R"("response_format":{"type":"text"},"tools":null,"return_token_ids":true)");
  ASSERT_EQ(ErrorOf(good).message, "no error");
  std::mt19937 random(20261);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
  int refused = 0;
  for (int i = 0; i < 100'000 && std::chrono::steady_clock::now() < end; ++i) {
    const std::string body = Mutate(good, random);
    Call call;
    const MaybeError error = Parse(body, &call);
    if (error.has_value()) {
      ++refused;
      ASSERT_FALSE(error->message.empty()) << body;
      boost::system::error_code bad;
      json::parse(json::serialize(OpenAiError(*error)), bad);
      ASSERT_FALSE(bad) << body;
    } else if (i % 20 == 0 && !call.stream) {
      RunCall(engine_, std::move(call));
    }
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace keel::apps

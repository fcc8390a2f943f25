#include "apps/wire/sglang/sglang.h"

#include <string>
#include <utility>
#include <vector>

#include "apps/wire/call_fixture.h"
#include "apps/wire/sglang/error.h"
#include "apps/wire/sglang/generate.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

// The fake engine answers with the prompt.
class GenerateTest : public CallFixture {
 protected:
  GenerateTest() : CallFixture(ParseSglangGenerate) {}

  std::string MessageOf(const std::string& body) { return ErrorOf(body).message; }
  // Of a body with these sampling parameters.
  std::string Refusal(const std::string& params) {
    return MessageOf(R"({"text":"hi","sampling_params":{)" + params + "}}");
  }
};

TEST_F(GenerateTest, ATextAndWhatIsKnownOfIt) {
  json::value body = Run(R"({"text":"hi","rid":"mine"})");
  EXPECT_EQ(body.at("text"), "hi");
  EXPECT_EQ(body.at("output_ids"), json::parse("[104,105,257]"));
  json::object& meta = body.at("meta_info").as_object();
  EXPECT_GE(meta.at("e2e_latency").as_double(), 0);
  meta.erase("e2e_latency");
  EXPECT_EQ(meta, json::parse(R"({"id":"mine","finish_reason":{"type":"stop","matched":257},
      "prompt_tokens":2,"weight_version":"default","completion_tokens":3,"cached_tokens":0})"));
}

TEST_F(GenerateTest, TokenIdsAreAPromptToo) {
  const json::value body = Run(R"({"input_ids":[104,105],"return_prompt_token_ids":true})");
  EXPECT_EQ(body.at("text"), "hi");
  EXPECT_EQ(body.at("prompt_token_ids"), json::parse("[104,105]"));
  EXPECT_EQ(Run(R"({"input_ids":[[104],[105]]})").at(1).at("text"), "i");
}

TEST_F(GenerateTest, WhatEndedItIsSaid) {
  const auto reason = [&](const std::string& params) {
    return Run(R"({"text":"abcdef","sampling_params":{)" + params + "}}")
        .at("meta_info")
        .at("finish_reason");
  };
  EXPECT_EQ(reason(R"("max_new_tokens":2)"), json::parse(R"({"type":"length","length":2})"));
  EXPECT_EQ(reason(R"("stop":["cd"])"), json::parse(R"({"type":"stop","matched":"cd"})"));
  EXPECT_EQ(reason(R"("stop_token_ids":[99])"), json::parse(R"({"type":"stop","matched":99})"));
}

// SGLang's own default, not the rest of the context.
TEST_F(GenerateTest, AnAnswerHas128TokensUnlessTold) {
  const std::string body = R"({"text":"ab","sampling_params":{"ignore_eos":true}})";
  EXPECT_EQ(Run(body).at("output_ids").as_array().size(), 128U);
}

TEST_F(GenerateTest, SeveralPromptsAreAList) {
  const json::value body = Run(R"({"text":["ab","cd"],"rid":["x","y"],
      "sampling_params":[{"max_new_tokens":1},{"max_new_tokens":2}]})");
  EXPECT_EQ(body.at(0).at("text"), "a");
  EXPECT_EQ(body.at(1).at("text"), "cd");
  EXPECT_EQ(body.at(1).at("meta_info").at("id"), "y");
  const json::value several = Run(R"({"text":["ab","cd"],"sampling_params":{"n":2}})");
  ASSERT_EQ(several.as_array().size(), 4U);
  EXPECT_EQ(several.at(2).at("text"), "cd");
  EXPECT_EQ(several.at(2).at("meta_info").at("id"), "id_1_0");
}

TEST_F(GenerateTest, MediaAreUrlsOrBase64) {
  const auto text = [&](const std::string& fields) {
    return Run(R"({"text":"hi",)" + fields + "}").at("text");
  };
  EXPECT_EQ(text(R"("image_data":"http://a/b.png")"), "hi\nimage http://a/b.png at image_data");
  EXPECT_EQ(text(R"("image_data":["data:image/png;base64,AA","AAAA"])"),
            "hi\nimage data:image/png;base64,AA at image_data[0]"
            "\nimage data:;base64,AAAA at image_data[1]");
  EXPECT_EQ(text(R"("video_data":"AA","audio_data":"BB")"),
            "hi\nvideo data:;base64,AA at video_data\naudio data:;base64,BB at audio_data");
  const json::value several = Run(R"({"text":["a","b","c"],"image_data":["AA",null,["BB","CC"]]})");
  EXPECT_EQ(several.at(0).at("text"), "a\nimage data:;base64,AA at image_data[0]");
  EXPECT_EQ(several.at(1).at("text"), "b");
  EXPECT_EQ(several.at(2).at("text"),
            "c\nimage data:;base64,BB at image_data[2][0]"
            "\nimage data:;base64,CC at image_data[2][1]");
}

TEST_F(GenerateTest, LogprobsAreTriples) {
  const json::value meta =
      Run(R"({"text":"hi","return_logprob":true,"top_logprobs_num":2,"logprob_start_len":0,
          "return_text_in_logprobs":true,"sampling_params":{"max_new_tokens":1}})")
          .at("meta_info");
  EXPECT_EQ(meta.at("input_token_logprobs"), json::parse(R"([[null,104,"h"],[-0.5,105,"i"]])"));
  EXPECT_EQ(meta.at("output_token_logprobs"), json::parse(R"([[-0.5,104,"h"]])"));
  EXPECT_EQ(meta.at("output_token_logprobs_length"), 1);
  EXPECT_EQ(meta.at("input_top_logprobs"),
            json::parse(R"([null,[[-0.5,105,"i"],[-1.5,106,"j"]]])"));
  EXPECT_EQ(meta.at("output_top_logprobs"), json::parse(R"([[[-0.5,104,"h"],[-1.5,105,"i"]]])"));
}

TEST_F(GenerateTest, WithoutAStartOnlyTheAnswersTokensHaveLogprobs) {
  const json::value meta = Run(R"({"text":"hi","return_logprob":true})").at("meta_info");
  EXPECT_EQ(meta.at("input_token_logprobs"), json::parse("[[null,105,null]]"));
  EXPECT_EQ(meta.at("output_token_logprobs").as_array().size(), 3U);
  EXPECT_FALSE(meta.as_object().contains("output_top_logprobs"));
  EXPECT_FALSE(
      Run(R"({"text":"hi"})").at("meta_info").as_object().contains("output_token_logprobs"));
}

TEST_F(GenerateTest, EventsRepeatWhatCame) {
  const auto events = Stream(R"({"text":"hi","stream":true})");
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].at("text"), "h");
  EXPECT_TRUE(events[0].at("meta_info").at("finish_reason").is_null());
  EXPECT_EQ(events[1].at("text"), "hi");
  EXPECT_EQ(events[2].at("output_ids"), json::parse("[104,105,257]"));
  EXPECT_EQ(events[2].at("meta_info").at("completion_tokens"), 3);
  EXPECT_EQ(events[2].at("meta_info").at("finish_reason").at("type"), "stop");
  EXPECT_EQ(events[3], "[DONE]");
  const auto several = Stream(R"({"text":["a","b"],"stream":true})");
  for (const json::value& event : several) {
    if (event.is_string()) continue;
    EXPECT_EQ(event.at("index").as_int64() == 0, event.at("text") == "a");
  }
}

TEST_F(GenerateTest, EventsMayHaveWhatIsNewAlone) {
  incremental_streams_ = true;
  const auto events = Stream(R"({"text":"hi","stream":true})");
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].at("text"), "h");
  EXPECT_EQ(events[1].at("text"), "i");
  EXPECT_EQ(events[1].at("output_ids"), json::parse("[105]"));
  EXPECT_EQ(events[1].at("meta_info").at("completion_tokens"), 2);
}

TEST_F(GenerateTest, UnknownFieldsAreNoted) {
  Call call;
  EXPECT_FALSE(Parse(R"({"text":"a","foo":1,"sampling_params":{"bar":2}})", &call).has_value());
  EXPECT_EQ(call.unknown_fields, (std::vector<std::string>{"foo", "sampling_params.bar"}));
}

TEST_F(GenerateTest, WhatFailsEndsTheStreamWithItsReason) {
  const auto events = Stream(R"({"text":"[fail] x","stream":true})");
  ASSERT_GE(events.size(), 2U);
  EXPECT_EQ(events[events.size() - 2], json::parse(R"({"error":{"message":"the step failed",
      "type":"internal_error","code":500,"retryable":false}})"));
  EXPECT_EQ(events.back(), "[DONE]");
}

TEST_F(GenerateTest, RefusalsNameTheField) {
  EXPECT_THAT(MessageOf("{}"), HasSubstr("text is missing, expected it or input_ids"));
  EXPECT_THAT(MessageOf(R"({"text":"a","input_ids":[1]})"), HasSubstr("both set"));
  EXPECT_THAT(MessageOf(R"({"text":5})"), HasSubstr("text is 5 (a number), expected a string"));
  EXPECT_THAT(MessageOf(R"({"text":[]})"), HasSubstr("expected a string or a list"));
  EXPECT_THAT(MessageOf(R"({"input_ids":"x"})"), HasSubstr("a list of token ids"));
  EXPECT_THAT(MessageOf(R"({"text":["a","b"],"rid":["x"]})"), HasSubstr("a list of 2, one for"));
  EXPECT_THAT(MessageOf(R"({"text":"a","image_data":5})"), HasSubstr("image_data is 5"));
  EXPECT_THAT(MessageOf(R"({"text":["a","b"],"image_data":["x"]})"), HasSubstr("a list of 2"));
  EXPECT_THAT(MessageOf(R"({"text":"a","return_logprobs":true})"),
              HasSubstr("did you mean 'return_logprob'?"));
  EXPECT_THAT(MessageOf(R"({"text":"a","return_logprob":true,"top_logprobs_num":21})"),
              HasSubstr("expected 0 to 20"));
  EXPECT_THAT(MessageOf(R"({"text":"a","logprob_start_len":-2})"), HasSubstr("expected -1"));
  EXPECT_THAT(Refusal(R"("temperature":"hot")"), HasSubstr("sampling_params.temperature is"));
  EXPECT_THAT(Refusal(R"("temperature":-1)"), HasSubstr("temperature is negative"));
  EXPECT_THAT(Refusal(R"("top_k":0)"), HasSubstr("sampling_params.top_k is 0, expected -1"));
  EXPECT_THAT(Refusal(R"("max_tokens":5)"), HasSubstr("use max_new_tokens"));
  EXPECT_THAT(Refusal(R"("max_new_token":5)"), HasSubstr("did you mean 'max_new_tokens'?"));
  EXPECT_THAT(Refusal(R"("stop_regex":"a")"), HasSubstr("stop_regex is not served"));
  EXPECT_THAT(Refusal(R"("regex":"a","ebnf":"b")"), HasSubstr("only one of"));
  EXPECT_THAT(Refusal(R"("n":0)"), HasSubstr("n is 0"));
  EXPECT_EQ(Refusal(R"("temperature":null,"regex":"","unknown_thing":1)"), "no error");
  limits_.max_sequences = 3;
  EXPECT_THAT(MessageOf(R"({"text":["a","b"],"sampling_params":{"n":2}})"), HasSubstr("more than"));
}

TEST(SglangErrorTest, ABodyIsAMessage) {
  const ErrorBody body = SglangErrorBody({.message = "no"});
  EXPECT_EQ(body.http_status, 400);
  EXPECT_EQ(body.json, R"({"error":{"message":"no"}})");
}

// Bytes from outside: a body is taken or refused in words, and what is taken runs.
TEST_F(GenerateTest, DamagedBodiesAreTakenOrRefused) {
  const std::string good =
      R"({"text":["hi","ho"],"rid":["a","b"],"stream":false,"return_logprob":[true,false],)"
      R"("logprob_start_len":0,"top_logprobs_num":1,"priority":1,"extra_key":"k","sampling_params":)"
      R"({"temperature":0.5,"top_p":0.9,"top_k":5,"max_new_tokens":4,"stop":["x"],"n":2,)"
      R"("logit_bias":{"5":1},"sampling_seed":3,"stop_token_ids":[7]}})";
  ExpectDamageHarmsNothing(good);
}

}  // namespace
}  // namespace keel::apps

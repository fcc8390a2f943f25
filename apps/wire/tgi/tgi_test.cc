#include "apps/wire/tgi/tgi.h"

#include <string>
#include <utility>
#include <vector>

#include "apps/wire/call_fixture.h"
#include "apps/wire/tgi/error.h"
#include "apps/wire/tgi/generate.h"
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
  GenerateTest() : CallFixture(ParseTgiGenerate) {}
};
class GenerateStreamTest : public CallFixture {
 protected:
  GenerateStreamTest() : CallFixture(ParseTgiGenerateStream) {}
};
class RootTest : public CallFixture {
 protected:
  RootTest() : CallFixture(ParseTgiRoot) {}
};

TEST_F(GenerateTest, TheTextAlone) {
  EXPECT_EQ(Run(R"({"inputs":"hi"})"), json::parse(R"({"generated_text":"hi"})"));
  EXPECT_EQ(Run(R"({"inputs":"hi","parameters":{"return_full_text":true}})"),
            json::parse(R"({"generated_text":"hihi"})"));
  EXPECT_EQ(Run(R"({"inputs":"abcdef","parameters":{"max_new_tokens":2}})").at("generated_text"),
            "ab");
  EXPECT_EQ(Run(R"({"inputs":"abcdef","parameters":{"truncate":2}})").at("generated_text"), "ef");
}

TEST_F(GenerateTest, DetailsSayHowItCameAbout) {
  const json::value body = Run(R"({"inputs":"hi","parameters":{"details":true,"seed":7,
      "decoder_input_details":true,"top_n_tokens":2,"max_new_tokens":1}})");
  const json::value& details = body.at("details");
  EXPECT_EQ(details.at("finish_reason"), "length");
  EXPECT_EQ(details.at("generated_tokens"), 1);
  EXPECT_EQ(details.at("seed"), 7);
  EXPECT_EQ(details.at("tokens"),
            json::parse(R"([{"id":104,"text":"h","logprob":-0.5,"special":false}])"));
  EXPECT_EQ(details.at("prefill").as_array().size(), 2u);
  EXPECT_EQ(details.at("prefill").at(0), json::parse(R"({"id":104,"text":"h","logprob":null})"));
  EXPECT_EQ(details.at("top_tokens").at(0).as_array().size(), 2u);
  EXPECT_EQ(
      Run(R"({"inputs":"hi","parameters":{"details":true}})").at("details").at("finish_reason"),
      "eos_token");
}

TEST_F(GenerateTest, AStopSequenceStaysInTheText) {
  const json::value body =
      Run(R"({"inputs":"abcdef","parameters":{"stop":["cd"],"details":true}})");
  EXPECT_EQ(body.at("details").at("finish_reason"), "stop_sequence");
}

TEST_F(GenerateTest, OfSeveralTheOthersAreInTheDetails) {
  const json::value body =
      Run(R"({"inputs":"abcd","parameters":{"best_of":3,"do_sample":true,"details":true}})");
  EXPECT_EQ(body.at("details").at("best_of_sequences").as_array().size(), 2u);
  EXPECT_TRUE(
      body.at("details").at("best_of_sequences").at(0).as_object().contains("generated_text"));
}

TEST_F(GenerateTest, RefusalsNameTheField) {
  const auto message = [&](const std::string& parameters) {
    return ErrorOf(R"({"inputs":"hi","parameters":{)" + parameters + "}}").message;
  };
  EXPECT_THAT(ErrorOf("{}").message, HasSubstr("inputs is missing"));
  EXPECT_EQ(message(R"("temperature":0)"), "parameters.temperature must be strictly positive");
  EXPECT_THAT(message(R"("temperature":"hot")"), HasSubstr("parameters.temperature is \"hot\""));
  EXPECT_THAT(message(R"("top_p":1.5)"), HasSubstr("parameters.top_p is 1.5"));
  EXPECT_THAT(message(R"("top_k":0)"), HasSubstr("parameters.top_k must be"));
  EXPECT_THAT(message(R"("max_new_tokens":0)"), HasSubstr("max_new_tokens must be"));
  EXPECT_THAT(message(R"("best_of":2)"), HasSubstr("without sampling"));
  EXPECT_THAT(message(R"("best_of":2,"do_sample":true,"seed":1)"), HasSubstr("seed must not"));
  EXPECT_THAT(message(R"("top_n_tokens":21)"), HasSubstr("expected 0 to 20"));
  EXPECT_THAT(message(R"("truncate":-1)"), HasSubstr("truncate must be"));
  EXPECT_THAT(message(R"("grammar":{"type":"bnf","value":"x"})"), HasSubstr("expected type json"));
  EXPECT_THAT(message(R"("watermark":true)"), HasSubstr("watermarks are not served"));
  EXPECT_THAT(message(R"("adapter_id":"x")"), HasSubstr("adapters are not served"));
}

TEST_F(GenerateStreamTest, AnEventATokenAndTheWholeTextInTheLast) {
  const auto events = Stream(R"({"inputs":"hi","parameters":{"details":true}})");
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0], json::parse(R"({"index":1,"token":{"id":104,"text":"h","logprob":-0.5,
      "special":false},"generated_text":null,"details":null})"));
  EXPECT_EQ(events[1].at("token").at("text"), "i");
  EXPECT_TRUE(events[2].at("token").at("special").as_bool());
  EXPECT_EQ(events[2].at("generated_text"), "hi");
  EXPECT_EQ(events[2].at("details"), json::parse(R"({"finish_reason":"eos_token",
      "generated_tokens":3,"seed":null,"input_length":2})"));
}

TEST_F(GenerateStreamTest, WhatFailsEndsTheStreamWithItsReason) {
  const auto events = Stream(R"({"inputs":"[fail] x"})");
  EXPECT_EQ(events.back().at("error_type"), "generation");
  EXPECT_THAT(ErrorOf(R"({"inputs":"x","parameters":{"best_of":2}})").message,
              HasSubstr("must be 1 in a stream"));
  EXPECT_THAT(ErrorOf(R"({"inputs":"x","parameters":{"decoder_input_details":true}})").message,
              HasSubstr("not available in a stream"));
}

TEST_F(RootTest, IsEither) {
  EXPECT_EQ(Run(R"({"inputs":"hi"})"), json::parse(R"([{"generated_text":"hi"}])"));
  EXPECT_EQ(Stream(R"({"inputs":"hi","stream":true})").back().at("generated_text"), "hi");
}

TEST(TgiErrorTest, StatusesAreTheProtocolsOwn) {
  const auto status = [](ErrorCode code) { return TgiErrorBody({.code = code}).http_status; };
  EXPECT_EQ(status(ErrorCode::kInvalid), 422);
  EXPECT_EQ(status(ErrorCode::kOverloaded), 429);
  EXPECT_EQ(status(ErrorCode::kInternal), 424);
  EXPECT_EQ(status(ErrorCode::kUnavailable), 503);
  EXPECT_EQ(status(ErrorCode::kUnauthorized), 401);
  EXPECT_EQ(TgiErrorBody({.message = "no"}).json, R"({"error":"no","error_type":"validation"})");
}

// Bytes from outside: a body is taken or refused in words, and what is taken runs.
TEST_F(GenerateTest, DamagedBodiesAreTakenOrRefused) {
  const std::string good =
      R"({"inputs":"hi","parameters":{"do_sample":true,"temperature":0.5,"top_p":0.9,"top_k":5,)"
      R"("typical_p":0.5,"repetition_penalty":1.1,"max_new_tokens":4,"stop":["x"],"best_of":2,)"
      R"("details":true,"top_n_tokens":1,"decoder_input_details":true,"return_full_text":true}})";
  ExpectDamageHarmsNothing(good);
}

}  // namespace
}  // namespace keel::apps

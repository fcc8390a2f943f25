// The endpoints that answer with vectors, on the fake engine: an embedding is {tokens, first token}.
#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apps/testing/mutate.h"
#include "apps/wire/call_fixture.h"
#include "apps/wire/openai/classify.h"
#include "apps/wire/openai/embeddings.h"
#include "apps/wire/openai/scores.h"
#include "apps/wire/run_call.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

Options Fake(const std::string& task, const std::string& labels = "1") {
  Options options;
  EXPECT_TRUE(options.Set("task", task).ok());
  EXPECT_TRUE(options.Set("labels", labels).ok());
  return options;
}

class EmbeddingsTest : public CallFixture {
 protected:
  EmbeddingsTest() : CallFixture(ParseEmbeddings, Fake("embed")) {}
};

TEST_F(EmbeddingsTest, TheResponseHasOpenAisShape) {
  const json::value body = Run(R"({"input":["abc","b"],"use_activation":false,"user":"me"})");
  EXPECT_EQ(body.at("id"), "embd-id");
  EXPECT_EQ(body.at("object"), "list");
  EXPECT_EQ(body.at("model"), "fake");
  EXPECT_EQ(body.at("data"), json::parse(R"([
      {"object":"embedding","index":0,"embedding":[3E0,9.7E1]},
      {"object":"embedding","index":1,"embedding":[1E0,9.8E1]}])"));
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 4);
  EXPECT_EQ(body.at("usage").at("total_tokens"), 4);
}

TEST_F(EmbeddingsTest, AllFormsOfInputs) {
  const auto count = [&](const std::string& body) {
    return Run(body).at("data").as_array().size();
  };
  EXPECT_EQ(count(R"({"input":"abc"})"), 1u);
  EXPECT_EQ(count(R"({"input":[97,98]})"), 1u);
  EXPECT_EQ(count(R"({"input":[[97],[98,99],[7]]})"), 3u);
  EXPECT_EQ(count(R"({"input":["a",[98]]})"), 2u);
}

// What OpenAI's Python client asks for and decodes.
TEST_F(EmbeddingsTest, Base64IsOfLittleEndianFloats) {
  const json::value body =
      Run(R"({"input":"abc","encoding_format":"base64","use_activation":false})");
  // 00 00 40 40, 00 00 c2 42: 3 and 97
  EXPECT_EQ(body.at("data").at(0).at("embedding"), "AABAQAAAwkI=");
}

TEST_F(EmbeddingsTest, ErrorsNameTheField) {
  const auto expect = [&](const std::string& body, const char* field, const char* message) {
    const CallError error = ErrorOf(body);
    EXPECT_EQ(error.field, field) << body;
    EXPECT_THAT(error.message, HasSubstr(message)) << body;
  };
  expect("{}", "input", "input is missing, expected a string");
  expect(R"({"input":[]})", "input", "input is a list of 0, expected");
  expect(R"({"input":["a",5]})", "input[1]", "input[1] is 5 (a number)");
  expect(R"({"input":"a","encoding_format":"hex"})", "encoding_format",
         "encoding_format is 'hex', expected float or base64");
  expect(R"({"input":"a","truncation_side":"left"})", "truncation_side", "loses its end");
  expect(R"({"input":"a","dimension":3})", "dimension", "did you mean 'dimensions'?");
  expect(R"({"input":"a","dimensions":"many"})", "dimensions", "expected a whole number");
  limits_.max_sequences = 2;
  expect(R"({"input":["a","b","c"]})", "input", "3 texts are more than the 2");
}

TEST_F(EmbeddingsTest, WhatWasCancelledHasNoVector) {
  Call call;
  ASSERT_FALSE(Parse(R"({"input":["a","b"]})", &call).has_value());
  Piece piece;
  piece.output.finish_reason = "abort";
  call.answer->Collect(std::move(piece));
  ASSERT_TRUE(call.answer->error().has_value());
  EXPECT_EQ(call.answer->error()->code, ErrorCode::kUnavailable);
}

TEST_F(EmbeddingsTest, WhatNobodyKnowsIsNoted) {
  Call call;
  EXPECT_FALSE(Parse(R"({"input":"a","user":"u","normalise":true})", &call).has_value());
  EXPECT_THAT(call.unknown_fields, ::testing::ElementsAre("normalise"));
}

TEST_F(EmbeddingsTest, MutatedBodiesNeverBreakIt) {
  std::mt19937 random(42);
  const std::string seed = R"({"input":["abc",[1,2]],"encoding_format":"base64","dimensions":4,
      "use_activation":true,"priority":1,"cache_salt":"x"})";
  for (int i = 0; i < 2000; ++i) {
    Call call;
    [[maybe_unused]] const MaybeError error = Parse(Mutate(seed, random), &call);
  }
}

class PoolingEndpointTest : public CallFixture {
 protected:
  PoolingEndpointTest() : CallFixture(ParsePooling, Fake("classify", "2")) {}
};

TEST_F(PoolingEndpointTest, GivesWhatTheModelGives) {
  const json::value body = Run(R"({"input":"abc"})");
  EXPECT_EQ(body.at("id"), "pool-id");
  EXPECT_EQ(body.at("data"), json::parse(R"([{"object":"pooling","index":0,"data":[3E-2,4E-2]}])"));
  EXPECT_THAT(ErrorOf(R"({"input":"abc","task":"generate"})").message,
              HasSubstr("task is 'generate', expected embed or classify"));
}

class ClassifyTest : public CallFixture {
 protected:
  ClassifyTest() : CallFixture(ParseClassify, Fake("classify", "3")) {}
};

TEST_F(ClassifyTest, TheLikeliestLabelIsNamed) {
  const json::value body = Run(R"({"input":["abc","b"]})");
  EXPECT_EQ(body.at("id"), "classify-id");
  EXPECT_EQ(body.at("data").at(0), json::parse(R"({"index":0,"label":"high",
      "probs":[3E-2,4E-2,5E-2],"num_classes":3})"));
  EXPECT_EQ(body.at("data").at(1).at("index"), 1);
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 4);
}

class CrossEncoderTest : public CallFixture {
 protected:
  CrossEncoderTest() : CallFixture(ParseScore, Fake("classify")) {}
};

TEST_F(CrossEncoderTest, ReadsBothTextsTogether) {
  const json::value body = Run(R"({"text_1":"abc","text_2":["d","defg"]})");
  EXPECT_EQ(body.at("id"), "score-id");
  EXPECT_EQ(body.at("data"), json::parse(R"([{"index":0,"object":"score","score":4E-2},
                                             {"index":1,"object":"score","score":7E-2}])"));
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 11);
  const json::value pairs = Run(R"({"queries":["a","ab"],"documents":["cd","cd"]})");
  EXPECT_EQ(pairs.at("data").at(1).at("score"), 0.04);
}

TEST_F(CrossEncoderTest, ErrorsNameTheField) {
  EXPECT_THAT(ErrorOf(R"({"text_1":["a","b"],"text_2":["c","d","e"]})").message,
              HasSubstr("text_1 has 2 texts and text_2 3, expected one, or as many"));
  EXPECT_EQ(ErrorOf(R"({"text_1":"a"})").field, "text_2");
  EXPECT_EQ(ErrorOf(R"({"data_1":"a","data_2":[7]})").field, "data_2[0]");
}

class ManyLabelsTest : public CallFixture {
 protected:
  ManyLabelsTest() : CallFixture(ParseScore, Fake("classify", "3")) {}
};

TEST_F(ManyLabelsTest, AreNoScore) {
  EXPECT_THAT(ErrorOf(R"({"text_1":"a","text_2":"b"})").message,
              HasSubstr("the model has 3 labels, and a score needs a model with one"));
}

class RerankTest : public CallFixture {
 protected:
  RerankTest() : CallFixture(ParseRerank, Fake("embed")) {}
};

// By the cosine between {1, 97} and {3, 98}, {9, 97}, {1, 97}.
TEST_F(RerankTest, TheBestComesFirst) {
  const json::value body =
      Run(R"({"query":"a","documents":["bbb","aaaaaaaaa",{"text":"a"}],"model":"alias"})");
  EXPECT_EQ(body.at("id"), "rerank-id");
  EXPECT_EQ(body.at("model"), "alias");
  const json::array& results = body.at("results").as_array();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].at("index"), 2);
  EXPECT_EQ(results[0].at("relevance_score"), 1.0);
  EXPECT_EQ(results[0].at("document"), json::parse(R"({"text":"a"})"));
  EXPECT_EQ(results[1].at("index"), 0);
  EXPECT_EQ(results[2].at("index"), 1);
  EXPECT_GT(results[1].at("relevance_score").as_double(), 0.99);
  EXPECT_LT(results[2].at("relevance_score").as_double(), 0.998);
}

TEST_F(RerankTest, TopNAndDocumentsAreTheCallersChoice) {
  const json::value body =
      Run(R"({"query":"a","documents":["bbb","a"],"top_n":1,"return_documents":false})");
  EXPECT_EQ(body.at("results"), json::parse(R"([{"index":1,"relevance_score":1E0}])"));
  EXPECT_EQ(ErrorOf(R"({"documents":["b"]})").field, "query");
  EXPECT_EQ(ErrorOf(R"({"query":"a","documents":["b"],"top_n":-1})").field, "top_n");
}

}  // namespace
}  // namespace keel::apps

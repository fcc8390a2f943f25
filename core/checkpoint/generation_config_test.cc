#include "core/checkpoint/generation_config.h"

#include <string>

#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::StatusIs;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<GenerationConfig> Parse(absl::string_view text) {
  KEEL_ASSIGN_OR_RETURN(const boost::json::value json, ParseJson(text, "g.json"));
  return ParseGenerationConfig(json, "g.json");
}

TEST(GenerationConfigTest, ReadsEveryField) {
  KEEL_ASSERT_OK_AND_ASSIGN(const GenerationConfig config, Parse(R"({
      "do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05,
      "typical_p": 0.9, "repetition_penalty": 1.1, "max_new_tokens": 512, "bos_token_id": 1,
      "pad_token_id": 0, "eos_token_id": [2, 3], "transformers_version": "5.0.0"})"));
  EXPECT_EQ(config.do_sample, true);
  EXPECT_EQ(config.temperature, 0.7);
  EXPECT_EQ(config.top_k, 20);
  EXPECT_EQ(config.top_p, 0.8);
  EXPECT_EQ(config.min_p, 0.05);
  EXPECT_EQ(config.typical_p, 0.9);
  EXPECT_EQ(config.repetition_penalty, 1.1);
  EXPECT_EQ(config.max_new_tokens, 512);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.pad_token_id, 0);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 3));
}

TEST(GenerationConfigTest, WhatIsAbsentOrNullStaysUnset) {
  KEEL_ASSERT_OK_AND_ASSIGN(const GenerationConfig config,
                            Parse(R"({"temperature": null, "eos_token_id": null})"));
  EXPECT_EQ(config.temperature, std::nullopt);
  EXPECT_EQ(config.top_k, std::nullopt);
  EXPECT_EQ(config.do_sample, std::nullopt);
  EXPECT_THAT(config.eos_token_ids, IsEmpty());
}

TEST(GenerationConfigTest, TakesASingleEosIdAndIntegersForNumbers) {
  KEEL_ASSERT_OK_AND_ASSIGN(const GenerationConfig config,
                            Parse(R"({"eos_token_id": 7, "temperature": 1})"));
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7));
  EXPECT_EQ(config.temperature, 1.0);
}

TEST(GenerationConfigTest, ErrorsNameFieldAndType) {
  EXPECT_THAT(Parse(R"({"temperature": "hot"})"),
              StatusIs(kInvalid, "g.json: temperature is \"hot\" (a string), expected a number"));
  EXPECT_THAT(Parse(R"({"top_k": 2.5})"),
              StatusIs(kInvalid, "g.json: top_k is 2.5E0 (a number), expected an integer"));
  EXPECT_THAT(Parse(R"({"do_sample": 1})"),
              StatusIs(kInvalid, "g.json: do_sample is 1 (an integer), expected true or false"));
  EXPECT_THAT(Parse(R"({"eos_token_id": "</s>"})"),
              StatusIs(kInvalid,
                       "g.json: eos_token_id is \"</s>\" (a string), expected an integer "
                       "or a list of integers"));
  EXPECT_THAT(Parse(R"({"eos_token_id": [1, null]})"),
              StatusIs(kInvalid, "g.json: eos_token_id[1] is null, expected an integer"));
  EXPECT_THAT(Parse("[]"), StatusIs(kInvalid, "g.json: is an array, expected an object"));
}

TEST(GenerationConfigTest, UnsetTokenIdsComeFromTheModelConfig) {
  KEEL_ASSERT_OK_AND_ASSIGN(const boost::json::value model,
                            ParseJson(R"({"bos_token_id": 1, "eos_token_id": 2,
                    "text_config": {"bos_token_id": 8, "eos_token_id": [9], "pad_token_id": 3}})",
                                      "config.json"));
  GenerationConfig config;
  KEEL_ASSERT_OK(FillTokenIdsFromModelConfig(model, "config.json", config));
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.pad_token_id, 3);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));

  config.eos_token_ids = {5, 6};
  KEEL_ASSERT_OK(FillTokenIdsFromModelConfig(model, "config.json", config));
  EXPECT_THAT(config.eos_token_ids, ElementsAre(5, 6));
}

}  // namespace
}  // namespace keel
